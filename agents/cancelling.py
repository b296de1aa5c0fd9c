"""Stop a turn that runs, waits in the queue or waits for its user; the last event follows the commit."""

from dataclasses import asdict

import structlog
from psycopg.rows import class_row
from redis.exceptions import RedisError

from accounts import audit, budgets
from agents.errors import FenceLost, JournalLost, Refused
from agents.events import Cancelled, Event, Snapshot, UserMessage
from agents.hints import hint_turn
from agents.joining import end_joined, tell_ends
from agents.journal import journal
from agents.outbox import OutboxRow, new_row_id, put
from agents.positions import tell_positions
from agents.queue import NOBODY, AfterCommit
from agents.schedules.rows import Where
from agents.settlement import Outcome, note_told
from agents.wait_events import IdleTurn, Row, events_of, read_shown
from agents.waits import IDLE, cancel_wait, record, tell_channel
from agents.writer import encode
from gateway.db import Connection, notify

# Numbers that are reserved for the events of the end.
CANCEL_BLOCK = 10

log = structlog.get_logger(__name__)

# Each value is the row's before the change. A question that an agent has begun to answer stands in the history; one that
# only waited in the queue is withdrawn.
_CANCEL_IDLE = f"""
    UPDATE turns SET cancel_requested = true, fence = fence + 1, holder = %(nobody)s, journal_floor = journal_floor + %(block)s,
        history = CASE WHEN attempts + waits > 0 THEN
            jsonb_build_array(jsonb_build_object('role', 'user', 'content', content, 'channel', channel))
            || CASE WHEN answer = '' THEN '[]'
                ELSE jsonb_build_array(jsonb_build_object('role', 'assistant', 'content', answer)) END
            ELSE history END,
        run_after = clock_timestamp(), state = 'cancelled', finished_at = clock_timestamp(), wait_state = NULL
    WHERE id = %(turn)s AND state NOT IN ('done', 'failed', 'cancelled', 'running') RETURNING {IDLE}
"""


async def cancel_on(conn: Connection, turn: str, user_id: str, *, said_in: Where | None = None) -> AfterCommit | None:
    """Cancel in the caller's transaction; what is returned writes the last event once that has committed.

    Until then the turn stays held by nobody, so that a worker writes it should this process die before. One that has ended
    stays as it is. `said_in`: where a command says that it was stopped, so that nothing more need be said there.
    Raises Refused `not_found` for another's turn or a missing one.
    """
    cursor = await conn.execute(
        "UPDATE turns SET cancel_requested = true WHERE id = %s AND user_id = %s RETURNING state", (turn, user_id)
    )
    found = await cursor.fetchone()
    if found is None:
        raise no_turn()
    if found[0] == "running":
        await notify(conn, "cancels", turn)
        return None
    async with conn.cursor(row_factory=class_row(IdleTurn)) as idle_cursor:
        await idle_cursor.execute(_CANCEL_IDLE, {"turn": turn, "block": CANCEL_BLOCK, "nobody": NOBODY})
        idle = await idle_cursor.fetchone()
    if idle is None:
        return None
    # An attempt that went back into the queue may have been stopped between setting aside and knowing that it had.
    await budgets.release(conn, turn)
    ended = await end_joined(conn, idle, Outcome(Cancelled(content="")))
    row = await cancel_wait(conn, turn)
    if row is not None:
        await tell_channel(conn, idle, row)
        await record(conn, row, actor=audit.user(user_id))
    # It was told when the turn began to wait.
    payload = {"content": idle.answer, "told": len(idle.answer)} | ({"said_in": asdict(said_in)} if said_in else {})
    await put(conn, OutboxRow(new_row_id(), turn, user_id, idle.channel, idle.reply_to, "cancelled", payload))
    await notify(conn, "turns")

    async def write_last() -> None:
        await _write_last(idle, row)
        await tell_ends(ended)
        await tell_positions(idle.conversation)

    return write_last


def no_turn() -> Refused:
    """There is no such turn, for this user."""
    return Refused("not_found", "There is no such turn.")


async def _write_last(idle: IdleTurn, row: Row | None) -> None:
    book, turn = journal(), idle.turn
    try:
        _, there = await book.open(turn, fence=idle.fence, floor=idle.floor)
        shown = await read_shown(turn)
        events: list[Event] = [] if row is None else [*shown.missing(events_of(row))]
        if shown.text != idle.answer:
            events = [Snapshot(content=idle.answer), *events]
        if not there:
            events = [UserMessage(channel=idle.channel, content=idle.content), *events]
        texts = [encode(event, turn, idle.conversation) for event in [*events, Cancelled(content=idle.answer)]]
        number = await book.append(turn, texts, fence=idle.fence)
        await book.finish(turn)
    except (FenceLost, JournalLost):
        # A worker was quicker, or is to be.
        return
    except (RedisError, OSError) as error:
        log.warning("journal_unreachable", error=type(error).__name__)
        return
    await note_told(turn, fence=idle.fence, last_seq=number - 1)
    await hint_turn(idle.user_id, turn=turn, seq=number - 1)
