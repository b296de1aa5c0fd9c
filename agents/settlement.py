"""End an attempt of a turn: one transaction changes its state and writes what people must be told."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, LiteralString

from psycopg.types.json import Jsonb

from agents.errors import FenceLost
from agents.events import Cancelled, Done, Failed, Image
from agents.outbox import OutboxRow, new_row_id, put
from agents.queue import Claim, Closing
from gateway.db import Connection, connection, notify

# Waits before the second and the third attempt, in seconds.
RETRY_AFTER_S = (1, 4)

Final = Done | Failed | Cancelled
# What else is done in the transaction that makes a turn final; told whether it does so for the first time.
Ending = Callable[[Connection, bool], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Beside:
    """What an attempt has shown beside the words of its answer: pictures, and what its user was told about it."""

    images: tuple[Image, ...] = ()
    notices: tuple[str, ...] = ()

    def payload(self) -> dict[str, Any]:
        """As an outbox row holds it; nothing of what there is none of."""
        images = [{"url": image.url, "alt": image.alt} for image in self.images]
        return {**({"images": images} if images else {}), **({"notices": [*self.notices]} if self.notices else {})}


NOTHING_BESIDE = Beside()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a turn ended: its last event, and the messages that its history gets.

    A `dead` one was given up after its last attempt; its text is kept for a retry, so nothing is stored yet. `written` is
    what a failed one had said before, `kept_model` the one that the conversation goes on with ("" = the one it has).
    """

    event: Final
    history: list[dict[str, Any]] = field(default_factory=list)
    dead: bool = False
    written: str = ""
    kept_model: str = ""
    beside: Beside = NOTHING_BESIDE

    def __post_init__(self) -> None:
        object.__setattr__(self, "history", storable(self.history))


async def settle(claim: Claim, outcome: Outcome, *, last_seq: int | None, closing: Ending) -> None:
    """Make a running turn final. It stays held until its aftercare is done. `closing` is part of the transaction.

    `last_seq` is the number that its last event will have; None where that is not known yet. Raises FenceLost when another
    worker has taken it over; then nothing is changed.
    """
    event = outcome.event
    async with connection() as conn, conn.transaction():
        # The conversation first, then the turn: in this order everywhere, or two of them would wait for each other.
        await _touch_conversation(conn, claim, model=outcome.kept_model)
        cursor = await conn.execute(
            "UPDATE turns t SET state = %s, finished_at = clock_timestamp(), last_seq = %s, answer = %s, history = %s,"
            " model = %s, usage = %s, error_code = %s, error_message = %s, dead = %s, wait_state = NULL, metered = true"
            " FROM turns before WHERE before.id = t.id AND t.id = %s AND t.fence = %s AND t.state = 'running'"
            " RETURNING NOT before.metered",
            (
                event.type,
                last_seq,
                storable(outcome.written if isinstance(event, Failed) else event.content),
                None if outcome.dead else Jsonb(outcome.history),
                _model_of(event),
                Jsonb(event.usage.payload() if isinstance(event, Done) else {}),
                event.code if isinstance(event, Failed) else "",
                event.message if isinstance(event, Failed) else "",
                outcome.dead,
                claim.turn,
                claim.fence,
            ),
        )
        row = await cursor.fetchone()
        if row is None:
            raise FenceLost
        payload = storable(payload_of(outcome)) | ({"told": len(claim.answer)} if claim.answer else {})
        told = OutboxRow(new_row_id(), claim.turn, claim.user_id, claim.channel, claim.reply_to, event.type, payload)
        await put(conn, told)
        await closing(conn, row[0])


async def note_end(turn: str, *, fence: int, last_seq: int) -> None:
    """Keep the number of a turn's last event, which now stands in the journal; nothing when the turn has been taken over."""
    async with connection() as conn:
        await conn.execute("UPDATE turns SET last_seq = %s WHERE id = %s AND fence = %s", (last_seq, turn, fence))


async def note_told(turn: str, *, fence: int, last_seq: int) -> None:
    """The same of a turn that nobody runs, which is held no longer."""
    async with connection() as conn:
        await conn.execute(
            "UPDATE turns SET last_seq = %s, holder = NULL WHERE id = %s AND fence = %s", (last_seq, turn, fence)
        )


async def postpone(claim: Claim, *, closing: Closing) -> None:
    """Put a running turn back, to be tried again after a while. Raises FenceLost like `settle`."""
    wait_s = RETRY_AFTER_S[min(claim.attempts, len(RETRY_AFTER_S)) - 1]
    async with connection() as conn, conn.transaction():
        cursor = await conn.execute(
            "UPDATE turns SET state = 'queued', holder = NULL, run_after = clock_timestamp() + %s * interval '1 second'"
            " WHERE id = %s AND fence = %s AND state = 'running'",
            (wait_s, claim.turn, claim.fence),
        )
        if cursor.rowcount == 0:
            raise FenceLost
        await closing(conn)


async def forget(claim: Claim) -> bool:
    """End a finished turn's aftercare: the workspace holds its messages, so the text is erased here; see `let_go`."""
    return await _let_go(
        claim, "history = NULL, history_stored_at = clock_timestamp(), content = '', answer = '', run_after = NULL", 0
    )


async def store_later(claim: Claim, *, after_s: float) -> bool:
    """End a finished turn's aftercare for now: the workspace could not take its messages; see `let_go`."""
    return await _let_go(claim, "run_after = clock_timestamp() + %(wait)s * interval '1 second'", after_s)


async def store_within_a_day(claim: Claim, *, after_s: float) -> bool:
    """The same for a workspace that refuses them: tried again by itself for a day, and before each later turn."""
    due = (
        "CASE WHEN finished_at > clock_timestamp() - interval '1 day'"
        " THEN clock_timestamp() + %(wait)s * interval '1 second' END"
    )
    return await _let_go(claim, f"run_after = {due}", after_s)


async def let_go(claim: Claim) -> bool:
    """End a finished turn's aftercare and keep its text. True when messages of its conversation wait for an answer."""
    return await _let_go(claim, "run_after = NULL", 0)


async def unstored_in(conversation: str) -> list[tuple[str, list[dict[str, Any]]]]:
    """The finished turns of a conversation whose messages no workspace has yet, the oldest first."""
    async with connection() as conn:
        cursor = await conn.execute(
            "SELECT id::text, history FROM turns WHERE conversation_id = %s AND history_stored_at IS NULL"
            " AND history IS NOT NULL AND state IN ('done', 'failed', 'cancelled') ORDER BY accepted_at, id",
            (conversation,),
        )
        return await cursor.fetchall()


async def forget_stored(turn: str) -> None:
    """Erase a finished turn's text, which the workspace holds; one whose end is still to be told keeps it for that."""
    async with connection() as conn:
        await conn.execute(
            "UPDATE turns SET history = NULL, history_stored_at = clock_timestamp(), content = '', answer = '',"
            " run_after = NULL WHERE id = %s AND holder IS NULL AND history_stored_at IS NULL",
            (turn,),
        )


async def _let_go(claim: Claim, changes: LiteralString, wait_s: float) -> bool:
    """Give up the hold; workers are woken when another turn of the user waits, which may have waited for this one."""
    async with connection() as conn:
        cursor = await conn.execute(
            f"WITH gone AS (UPDATE turns SET holder = NULL, {changes} WHERE id = %(turn)s AND fence = %(fence)s"
            " RETURNING user_id, conversation_id), waiting AS ("
            " SELECT bool_or(t.conversation_id = gone.conversation_id) AS here"
            " FROM gone JOIN turns t ON t.user_id = gone.user_id AND t.state = 'queued' HAVING count(*) > 0)"
            " SELECT here FROM waiting",
            {"wait": wait_s, "turn": claim.turn, "fence": claim.fence},
        )
        row = await cursor.fetchone()
        if row is not None:
            await notify(conn, "turns")
    return row is not None and bool(row[0])


def storable(value: Any) -> Any:
    """JSON without what PostgreSQL refuses: NUL, halves of surrogate pairs, NaN, infinity. Models do write such things."""
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


async def _touch_conversation(conn: Connection, claim: Claim, *, model: str) -> None:
    """Note the last use and model, which the message may have chosen, and give a conversation its first title."""
    await conn.execute(
        "UPDATE conversations SET updated_at = clock_timestamp(),"
        " model = CASE WHEN %(model)s = '' THEN model ELSE %(model)s END,"
        " model_settled = model_settled OR (%(model)s <> '' AND %(wanted)s <> ''),"
        " title = CASE WHEN title = '' THEN left(regexp_replace(%(content)s, '\\s+', ' ', 'g'), 60) ELSE title END"
        " WHERE id = %(conversation)s",
        {
            "model": model,
            "wanted": claim.wanted_model,
            "content": claim.content,
            "conversation": claim.conversation,
        },
    )


def _model_of(event: Final) -> str:
    return (event.model or "") if isinstance(event, Done) else ""


def payload_of(outcome: Outcome) -> dict[str, Any]:
    """What an outbox row tells of how a turn ended."""
    event, shown = outcome.event, outcome.beside.payload()
    if not isinstance(event, Failed):
        return {"content": event.content, **shown}
    told = {"code": event.code, "message": event.message, **shown}
    return told | {"content": f"{outcome.written}\n\n{event.message}"} if outcome.written else told
