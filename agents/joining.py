"""A message that joins the answer that is being written: it goes into the model's next call, and ends with the answer.

Its turn stays in the queue's states with `joined_to` set, so that no worker takes it; whatever ends the turn that it has
joined ends it in the same transaction. A worker that takes that turn over finds what has joined it.
"""

from dataclasses import dataclass

import structlog
from psycopg.rows import class_row
from redis.exceptions import RedisError

from accounts import usage
from agents.errors import FenceLost, JournalLost
from agents.events import Cancelled, Done, Event, Failed, Notice, UserMessage
from agents.harness_types import Said
from agents.hints import hint_turn
from agents.journal import journal
from agents.outbox import OutboxRow, new_row_id, put
from agents.queue import NOBODY, Claim
from agents.settlement import Final, Outcome, note_told, payload_of, storable
from agents.wait_events import IdleTurn
from agents.waits import IDLE
from agents.writer import encode
from gateway.db import Connection, connection

# Numbers that are reserved for what is told when it joins, and again when it ends.
JOIN_BLOCK = 10

TAKEN_UP = "Taken up in the answer that is being written."

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """A joined turn that has ended with another, and the event that says so."""

    idle: IdleTurn
    event: Final


async def join(claim: Claim) -> list[Said]:
    """Let the messages that want to join the claim's turn do so. Raises FenceLost when it has been taken over."""
    async with connection() as conn, conn.transaction():
        await conn.execute("SELECT 1 FROM conversations WHERE id = %s FOR NO KEY UPDATE", (claim.conversation,))
        cursor = await conn.execute(
            "SELECT cancel_requested FROM turns WHERE id = %s AND fence = %s AND state = 'running'",
            (claim.turn, claim.fence),
        )
        row = await cursor.fetchone()
        if row is None:
            raise FenceLost
        if row[0]:
            return []
        async with conn.cursor(row_factory=class_row(IdleTurn)) as idle_cursor:
            await idle_cursor.execute(
                "UPDATE turns SET joined_to = %(host)s, fence = fence + 1, journal_floor = journal_floor + %(block)s"
                " WHERE conversation_id = %(conversation)s AND state = 'queued' AND steers AND joined_to IS NULL"
                f" AND fence = 0 RETURNING {IDLE}",
                {"host": claim.turn, "block": JOIN_BLOCK, "conversation": claim.conversation},
            )
            found = sorted(await idle_cursor.fetchall(), key=lambda idle: idle.turn)
    for idle in found:
        await _tell(idle, Notice(text=TAKEN_UP))
    return [Said(idle.content, idle.channel) for idle in found]


async def joined_before(turn: str) -> list[Said]:
    """What has joined a turn in earlier attempts, in its order."""
    async with connection() as conn:
        cursor = await conn.execute(
            "SELECT content, channel FROM turns WHERE joined_to = %s AND state = 'queued' ORDER BY id", (turn,)
        )
        return [Said(*row) for row in await cursor.fetchall()]


async def end_joined(conn: Connection, host: Claim | IdleTurn, outcome: Outcome) -> list[Ended]:
    """End what has joined a turn that ends, in the transaction that ends it.

    Each stays held by nobody until its end is told, so that a worker tells of it should this process die before.
    """
    event = outcome.event
    async with conn.cursor(row_factory=class_row(IdleTurn)) as cursor:
        await cursor.execute(
            "UPDATE turns SET state = %(state)s, finished_at = clock_timestamp(), holder = %(nobody)s, fence = fence + 1,"
            " journal_floor = journal_floor + %(block)s, error_code = %(code)s, error_message = %(message)s, metered = true"
            f" WHERE joined_to = %(host)s AND state = 'queued' RETURNING {IDLE}",
            {
                "state": event.type, "nobody": NOBODY, "block": JOIN_BLOCK, "host": host.turn,
                "code": event.code if isinstance(event, Failed) else "",
                "message": event.message if isinstance(event, Failed) else "",
            },
        )  # fmt: skip
        joined = await cursor.fetchall()
    for idle in joined:
        model = (event.model or "") if isinstance(event, Done) else ""
        failed = isinstance(event, Failed)
        await usage.add_turn(conn, user_id=idle.user_id, model=model, channel=idle.channel, failed=failed)
        # Where the answer goes anyway nothing more is said.
        if (idle.channel, idle.reply_to) != (host.channel, host.reply_to):
            payload = storable(payload_of(outcome))
            await put(
                conn, OutboxRow(new_row_id(), idle.turn, idle.user_id, idle.channel, idle.reply_to, event.type, payload)
            )
    return [Ended(idle, _end_of(event)) for idle in joined]


async def tell_ends(ended: list[Ended]) -> None:
    """Write the last events of joined turns, after the commit; what can't be written a worker writes later."""
    for each in ended:
        number = await _tell(each.idle, each.event)
        if number is None:
            continue
        await note_told(each.idle.turn, fence=each.idle.fence, last_seq=number)


def _end_of(event: Final) -> Final:
    """The end of a turn whose answer stands in another."""
    if isinstance(event, Done):
        return Done(content="", model=event.model)
    return Cancelled(content="") if isinstance(event, Cancelled) else event


async def _tell(idle: IdleTurn, event: Event) -> int | None:
    """Write an event of a turn that nobody runs; its number, None when it can't be written or another has written more."""
    book, turn = journal(), idle.turn
    try:
        _, there = await book.open(turn, fence=idle.fence, floor=idle.floor)
        events = [event] if there else [UserMessage(channel=idle.channel, content=idle.content), event]
        number = await book.append(turn, [encode(each, turn, idle.conversation) for each in events], fence=idle.fence)
        if event.final:
            await book.finish(turn)
    except (FenceLost, JournalLost):
        return None
    except (RedisError, OSError) as error:
        log.warning("journal_unreachable", error=type(error).__name__)
        return None
    await hint_turn(idle.user_id, turn=turn, seq=number - 1)
    return number - 1
