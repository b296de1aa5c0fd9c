"""A button that somebody pressed in a chat: what it decides, for whom, and a short text of what came of it."""

import asyncio
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, override
from psycopg.rows import class_row

from accounts.languages import language_of
from accounts.links import user_of
from agents.approvals import Decision, decide
from agents.errors import Refused
from agents.questions import Reply, reply
from channels_app.channels import Channel, Press
from channels_app.deliveries.intake import text_letter
from channels_app.deliveries.resting import rest_as_told
from channels_app.deliveries.rows import put
from channels_app.errors import DeliveryError
from gateway.db import connection

UNKNOWN = gettext_noop("This button does nothing any more.")
# As long as somebody looks at what they pressed, in seconds.
LONGEST_WAIT_S = 10.0
MOST_TRIES = 3
_DONE = {
    "approved": gettext_noop("Approved."),
    "rejected": gettext_noop("Rejected."),
    "answered": gettext_noop("Thank you."),
    "declined": gettext_noop("Not answered."),
}

log = structlog.get_logger(__name__)

# The event loop itself keeps only weak references to its tasks.
_acknowledging: set[asyncio.Task[None]] = set()


@dataclass(frozen=True, slots=True)
class _Pressed:
    """What a token stands for; see models.ChatButton."""

    user_id: str
    kind: str
    subject: str
    choice: Any
    digest: str


async def receive(channel: Channel, press: Press) -> str:
    """Decide what the button stands for, if it is the presser's; what became of it, in a word.

    Raises psycopg.Error when that can't be stored; the platform must then send it again.
    """
    user_id = await user_of(channel.name, press.sender)
    with override(await language_of(user_id or "", channel=channel.name, account=press.sender)):
        return await _receive(channel, press, user_id=user_id)


async def _receive(channel: Channel, press: Press, *, user_id: str | None) -> str:
    pressed = await _find(channel, press)
    # Whoever the account was linked to when it was asked: what it decides now is that user's only if it still is.
    if pressed is None or user_id is None or user_id != pressed.user_id:
        _acknowledge(channel, press, _(UNKNOWN))
        return "unknown_button"
    try:
        state = await _decide(channel, pressed)
    except Refused as refused:
        _acknowledge(channel, press, _(refused.message))
        return "refused"
    _acknowledge(channel, press, _(_DONE[state]))
    return "decided"


async def _find(channel: Channel, press: Press) -> _Pressed | None:
    async with connection() as conn, conn.cursor(row_factory=class_row(_Pressed)) as cursor:
        await cursor.execute(
            "SELECT user_id, kind, subject::text, choice, digest FROM chat_buttons"
            " WHERE token = %s AND channel = %s AND account = %s",
            (press.token.replace("\0", ""), channel.name, press.sender),
        )
        return await cursor.fetchone()


async def _decide(channel: Channel, pressed: _Pressed) -> str:
    if pressed.kind == "approval":
        decision = Decision(
            approval=pressed.subject,
            choice=pressed.choice,
            user_id=pressed.user_id,
            channel=channel.name,
            digest=pressed.digest,
        )
        return (await decide(decision)).state
    given = Reply(question=pressed.subject, user_id=pressed.user_id, channel=channel.name, values=pressed.choice)
    return (await reply(given)).state


def _acknowledge(channel: Channel, press: Press, text: str) -> None:
    """Say what came of it; nobody waits for that here, and the message itself tells of it all the same."""
    task = asyncio.create_task(_say(channel, press, text), name="acknowledge a press")
    _acknowledging.add(task)
    task.add_done_callback(_acknowledging.discard)


async def _say(channel: Channel, press: Press, text: str) -> None:
    """Where the platform asks for a wait it is kept, by the presser's chat as well; who waits for long is told by a message."""
    try:
        for _ in range(MOST_TRIES):
            wait_s = await _try(channel, press, text)
            if wait_s is None:
                return
            if wait_s > LONGEST_WAIT_S:
                break
            await asyncio.sleep(wait_s)
        await _write(channel, press, text)
    except psycopg.Error as error:
        log.warning("press_not_acknowledged", channel=channel.name, cause=type(error).__name__)


async def _try(channel: Channel, press: Press, text: str) -> float | None:
    """How long to wait before the next try, in seconds; None when there is none to be made."""
    try:
        await channel.acknowledge(press, text)
    except DeliveryError as error:
        log.info("press_not_acknowledged", channel=channel.name, cause=error.cause)
        await rest_as_told(channel, channel.target_of(press.sender), error)
        return error.retry_after_s
    return None


async def _write(channel: Channel, press: Press, text: str) -> None:
    target, origin = channel.target_of(press.sender), f"press:{channel.name}:{press.token}:{press.query}"
    async with connection() as conn, conn.transaction():
        await put(conn, [text_letter(channel, text, target=target, origin=origin)])
