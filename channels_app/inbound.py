"""What somebody wrote in a chat becomes a turn, or a sentence that says why not."""

import asyncio

import psycopg
import structlog

from accounts.licences import NotLicensed, active_licence
from accounts.links import user_of
from agents.errors import Refused
from agents.turns import IncomingMessage, accept_message
from channels_app import chat_linking, warmup
from channels_app.channels import Channel, Inbound
from channels_app.deliveries.intake import text_letter
from channels_app.deliveries.rows import put
from gateway.db import connection

TEXT_ONLY = "I can read text messages only, so far."
log = structlog.get_logger(__name__)

# The event loop itself keeps only weak references to its tasks.
_beginning: set[asyncio.Task[None]] = set()


async def receive(channel: Channel, inbound: Inbound) -> str:
    """Store what was written, or the reason why it is refused; what became of it, in a word.

    Raises psycopg.Error or redis.RedisError when that can't be stored; the platform must then send it again.
    """
    user_id = await user_of(channel.name, inbound.sender)
    ask = chat_linking.parse(inbound.content)
    if ask is not None:
        return await chat_linking.answer(channel, inbound, ask, user_id=user_id)
    if user_id is None:
        return "hinted" if await _hint(channel, inbound) else "unlinked"
    if inbound.content is None:
        await _say(channel, inbound, TEXT_ONLY, user_id=user_id)
        return "unreadable"
    message = IncomingMessage(
        user_id=user_id,
        channel=channel.name,
        external_id=inbound.external_id,
        content=inbound.content,
        reply_to=inbound.target,
    )
    try:
        accepted = await accept_message(message)
    except Refused as refusal:
        await _say(channel, inbound, refusal.message, user_id=user_id)
        return "refused"
    if accepted.duplicate:
        return "duplicate"
    _begin_workspace(user_id)
    return "accepted"


async def _say(channel: Channel, inbound: Inbound, text: str, *, user_id: str) -> None:
    origin = f"{channel.name}:{inbound.external_id}"
    letter = text_letter(channel, text, target=inbound.target, origin=origin, user_id=user_id)
    async with connection() as conn, conn.transaction():
        await put(conn, [letter])


async def _hint(channel: Channel, inbound: Inbound) -> bool:
    """Tell an account that is linked to nobody how to be; once an hour, whatever it sends."""
    origin = f"{channel.name}:{inbound.external_id}"
    text = chat_linking.in_words(channel, chat_linking.HOW_TO_LINK, sender=inbound.sender)
    async with connection() as conn, conn.transaction():
        cursor = await conn.execute(
            "INSERT INTO unlinked_senders AS u (channel, sender, hinted_at) VALUES (%s, %s, clock_timestamp())"
            " ON CONFLICT (channel, sender) DO UPDATE SET hinted_at = clock_timestamp()"
            " WHERE u.hinted_at < clock_timestamp() - interval '1 hour'",
            (channel.name, inbound.sender),
        )
        if cursor.rowcount == 0:
            return False
        await put(conn, [text_letter(channel, text, target=inbound.target, origin=origin)])
    return True


def _begin_workspace(user_id: str) -> None:
    """Begin to start the user's workspace; nobody waits for it here."""
    task = asyncio.create_task(_warm_up(user_id), name="begin a workspace")
    _beginning.add(task)
    task.add_done_callback(_beginning.discard)


async def _warm_up(user_id: str) -> None:
    try:
        licence = await active_licence(user_id)
    except NotLicensed:
        return
    except psycopg.OperationalError as error:
        log.warning("workspace_not_begun", error=type(error).__name__)
        return
    warmup.begin(licence, tell=_to_nobody)


async def _to_nobody(_state: str, _detail: str) -> None:
    """A chat is not told of the stages: its answer says what went wrong."""
