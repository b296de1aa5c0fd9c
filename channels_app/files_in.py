"""Fetch the files of messages from their platform, and have the messages answered."""

import asyncio
from uuid import UUID

import psycopg
import structlog
from redis.exceptions import RedisError

from accounts.links import user_of
from agents.errors import Refused
from agents.uploads import MOST_BYTES, add_upload
from channels_app import inbox
from channels_app.channels import Channel, File, channel_that_is_on
from channels_app.deliveries.intake import text_letter
from channels_app.deliveries.rows import put
from channels_app.errors import DeliveryError, TooLarge
from channels_app.inbound import accept
from channels_app.inbox import Kept
from gateway.db import connection
from gateway.services import Services

AT_ONCE = 4
# Of one message; the rest is named as not taken.
MOST_FILES = 5
NOT_TAKEN = "I could not take {name}: {reason}"
NOT_FETCHED = "it could not be fetched."
TOO_MANY = f"a message has at most {MOST_FILES} files."
WITHOUT_WORDS = "Here is {names}."

# Nothing was lost: the rows are claimed anew.
_AWAY = (psycopg.Error, RedisError)

log = structlog.get_logger(__name__)


class _Later(Exception):
    """A file may be there in a moment."""


async def run(services: Services) -> None:
    """Fetch until `services.stopping` is set."""
    # Asked for before the wake-ups begin to run, so that nothing is missed.
    waiting = services.wakeups.on("inbox")
    while not services.stopping.is_set():
        try:
            while await take_files(services.lease.id) and not services.stopping.is_set():
                pass
        except _AWAY as error:
            log.warning("inbox_failed", error=type(error).__name__)
        await waiting.wait()


async def take_files(holder: UUID) -> int:
    """Fetch and accept what waits; how many messages that was. Raises psycopg.Error when the database fails."""
    claimed = await inbox.claim(holder, limit=AT_ONCE)
    ends = await asyncio.gather(*(_take(kept) for kept in claimed), return_exceptions=True)
    for end in ends:
        if end is not None:
            raise end
    return len(claimed)


async def _take(kept: Kept) -> None:
    channel = channel_that_is_on(kept.channel)
    if channel is None:
        await inbox.try_later(kept)
        return
    try:
        await _accept(channel, kept)
    except _Later:
        await inbox.try_later(kept)
    except _AWAY:
        raise
    except Exception:  # a fault of ours must hold up no other message
        log.exception("files_crashed", channel=kept.channel, message=kept.id)
        await (inbox.finish(kept) if kept.last_attempt else inbox.try_later(kept))
    else:
        await inbox.finish(kept)


async def _accept(channel: Channel, kept: Kept) -> None:
    inbound, uploads, reasons = kept.inbound, [], []
    if await user_of(channel.name, inbound.sender) != kept.user_id:
        # Unlinked since.
        return
    for index, file in enumerate(inbound.files):
        try:
            uploads.append(await _upload(channel, file, kept, allowed=index < MOST_FILES))
        except Refused as refused:
            reasons.append(NOT_TAKEN.format(name=file.name, reason=refused.message))
    if reasons:
        text, origin = "\n\n".join(reasons), f"{channel.name}:{inbound.external_id}:files"
        target = channel.private(inbound.target)
        letter = text_letter(channel, text, target=target, origin=origin, user_id=kept.user_id)
        async with connection() as conn, conn.transaction():
            await put(conn, [letter])
    if uploads or inbound.content:
        names = ", ".join(file.name for file in inbound.files)
        content = inbound.content or WITHOUT_WORDS.format(names=names)
        await accept(channel, inbound, content, user_id=kept.user_id, attachments=tuple(uploads))


async def _upload(channel: Channel, file: File, kept: Kept, *, allowed: bool) -> str:
    """The file's id among the uploads. Raises Refused, and _Later."""
    if not allowed:
        raise Refused("too_many", TOO_MANY)
    try:
        content = await channel.fetch(file, most_bytes=MOST_BYTES)
    except TooLarge as error:
        raise Refused("too_large", f"a file has at most {MOST_BYTES:,} bytes.") from error
    except DeliveryError as error:
        log.warning("file_not_fetched", channel=channel.name, cause=error.cause, attempt=kept.attempts)
        if error.permanent or kept.last_attempt:
            raise Refused("invalid", NOT_FETCHED) from error
        raise _Later from error
    return (await add_upload(kept.user_id, name=file.name, content=content, channel=channel.name)).id
