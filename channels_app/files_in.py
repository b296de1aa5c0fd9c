"""Fetch the files of messages from their platform, and have the messages answered; what is spoken is answered as words."""

import asyncio
from dataclasses import dataclass, field
from uuid import UUID

import psycopg
import structlog
from redis.exceptions import RedisError

from accounts.links import user_of
from agents import transcription
from agents.errors import AgentFailed, Refused
from agents.uploads import MOST_BYTES, add_upload
from channels_app import inbox
from channels_app.asking_words import plain
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
SILENCE = "I hear no words in it."
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


@dataclass(slots=True)
class _Taken:
    """What a message's files gave: uploads, words that were said, and why some could not be taken."""

    uploads: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


async def _accept(channel: Channel, kept: Kept) -> None:
    inbound = kept.inbound
    if await user_of(channel.name, inbound.sender) != kept.user_id:
        # Unlinked since.
        return
    taken = await _take_each(channel, kept)
    if taken.reasons:
        await _say(channel, kept, "\n\n".join(taken.reasons), about="files")
    if taken.heard:
        await _say(channel, kept, "\n\n".join(f"> {plain(text)}" for text in taken.heard), about="heard")
    words = [each for each in (inbound.content, *taken.heard) if each]
    if taken.uploads or words:
        names = ", ".join(file.name for file in inbound.files)
        content = "\n\n".join(words) or WITHOUT_WORDS.format(names=names)
        await accept(channel, inbound, content, user_id=kept.user_id, attachments=tuple(taken.uploads))


async def _take_each(channel: Channel, kept: Kept) -> _Taken:
    """Raises _Later."""
    taken = _Taken()
    for index, file in enumerate(kept.inbound.files):
        try:
            content = await _fetch(channel, file, kept, allowed=index < MOST_FILES)
            if file.spoken:
                taken.heard.append(await _hear(channel, file, kept, content=content))
            else:
                upload = await add_upload(kept.user_id, name=file.name, content=content, channel=channel.name)
                taken.uploads.append(upload.id)
        except Refused as refused:
            taken.reasons.append(NOT_TAKEN.format(name=file.name, reason=refused.message))
    return taken


async def _say(channel: Channel, kept: Kept, text: str, *, about: str) -> None:
    """In the chat, quoting the message."""
    inbound = kept.inbound
    target, origin = inbound.target, f"{channel.name}:{inbound.external_id}:{about}"
    letter = text_letter(channel, text, target=channel.private(target), origin=origin, user_id=kept.user_id)
    async with connection() as conn, conn.transaction():
        await put(conn, [letter])


async def _fetch(channel: Channel, file: File, kept: Kept, *, allowed: bool) -> bytes:
    """The file. Raises Refused, and _Later."""
    if not allowed:
        raise Refused("too_many", TOO_MANY)
    try:
        return await channel.fetch(file, most_bytes=MOST_BYTES)
    except TooLarge as error:
        raise Refused("too_large", f"a file has at most {MOST_BYTES:,} bytes.") from error
    except DeliveryError as error:
        log.warning("file_not_fetched", channel=channel.name, cause=error.cause, attempt=kept.attempts)
        if error.permanent or kept.last_attempt:
            raise Refused("invalid", NOT_FETCHED) from error
        raise _Later from error


async def _hear(channel: Channel, file: File, kept: Kept, *, content: bytes) -> str:
    """What is said in a file. Raises Refused, and _Later."""
    try:
        words = await transcription.hear(content, name=file.name, user_id=kept.user_id, channel=channel.name)
    except AgentFailed as error:
        if error.retryable and not kept.last_attempt:
            raise _Later from error
        raise Refused(error.code, error.message) from error
    # A command is typed, whatever a model makes of what it hears.
    words = words.lstrip("/ ")
    if not words:
        raise Refused("invalid", SILENCE)
    return words
