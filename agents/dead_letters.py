"""Turns for the operators' eyes: what waits or runs, what was given up, and to try that again."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from accounts import audit
from agents.errors import Refused
from agents.journal import journal
from agents.workflow_runs import erase_steps
from gateway.db import connection, notify
from gateway.ids import is_id


@dataclass(frozen=True, slots=True)
class TurnLine:
    """A turn without its words."""

    turn: str
    user_id: str
    channel: str
    state: str
    attempts: int
    accepted_at: datetime
    error_code: str


_LINE = "id::text AS turn, user_id, channel, state, attempts, accepted_at, error_code"


async def list_open(*, limit: int = 100) -> list[TurnLine]:
    """Turns that have not ended, the oldest first."""
    async with connection() as conn, conn.cursor(row_factory=class_row(TurnLine)) as cursor:
        await cursor.execute(
            f"SELECT {_LINE} FROM turns WHERE state NOT IN ('done', 'failed', 'cancelled') ORDER BY accepted_at LIMIT %s",
            (limit,),
        )
        return await cursor.fetchall()


async def list_dead(*, limit: int = 100) -> list[TurnLine]:
    """Turns that were given up, the oldest first."""
    async with connection() as conn, conn.cursor(row_factory=class_row(TurnLine)) as cursor:
        await cursor.execute(f"SELECT {_LINE} FROM turns WHERE dead ORDER BY accepted_at LIMIT %s", (limit,))
        return await cursor.fetchall()


async def retry_dead(turn: str, *, actor: str = audit.COMMAND) -> None:
    """Put a turn that was given up back into the queue, with all its attempts, as `actor` of the audit.

    Raises Refused `not_found` when there is no such turn among the dead, or its text is no longer here.
    """
    if not is_id(turn):
        raise _not_dead()
    async with connection() as conn, conn.transaction():
        cursor = await conn.execute(
            "UPDATE turns SET state = 'queued', dead = false, attempts = 0, run_after = NULL, finished_at = NULL, history = NULL,"
            " last_seq = NULL, error_code = '', error_message = '', cancel_requested = false, holder = NULL, fence = fence + 1,"
            # An old yes is none to what is tried again now: the user is asked anew, and a workflow begins at its first step.
            " answer = '', usage = '{}', wait_kind = '', wait_id = NULL, wait_state = NULL, waits = 0"
            " WHERE id = %s AND dead AND state = 'failed' AND content <> '' RETURNING fence, journal_floor, user_id",
            (turn,),
        )
        row = await cursor.fetchone()
        if row is None:
            raise _not_dead()
        await erase_steps(conn, [turn])
        await audit.record_on(
            conn, audit.Event(actor=actor, action="turn.retried", user_id=row[2], object=f"turn:{turn}")
        )
        await journal().open(turn, fence=row[0], floor=row[1])
        await notify(conn, "turns")


async def retry_all_dead(turns: Iterable[str], *, actor: str) -> int:
    """The same for each of `turns` for which it can be done; how many those were."""
    queued = 0
    for turn in turns:
        try:
            await retry_dead(turn, actor=actor)
        except Refused:
            continue
        queued += 1
    return queued


def _not_dead() -> Refused:
    return Refused("not_found", "There is no such turn among the dead ones, or its text is no longer kept.")
