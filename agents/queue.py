"""The queue is rows: claim the oldest open turn of a conversation that nobody works on.

A claim locks the *conversation* row (SKIP LOCKED), then takes its head turn in a statement of its own, so that what it
checks is what is true after the lock. Each claim raises the turn's fence; every later write names it.

A turn that waits for its user is none of the queue's, and later ones of its conversation go on; when it is queued again, it
comes first, but for one that runs: that is ended, or taken over, before.

A turn begins only while fewer of its user's turns run than the licence allows at once; one that runs already, and is taken
over, keeps its slot. A user's slots are given away by one transaction at a time; a claim that finds it so passes over the user.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from psycopg.rows import class_row

from accounts import budgets
from accounts.slots import turn_cap, turn_caps
from gateway.db import Connection, connection, notify
from gateway.leases import holder_alive

# Events that a claim may number before it must reserve more; see Turn.journal_floor.
JOURNAL_BLOCK = 1000
MAX_ATTEMPTS = 3
# What is done in the transaction that ends an attempt.
Closing = Callable[[Connection], Awaitable[None]]
# What is done once a transaction has committed.
AfterCommit = Callable[[], Awaitable[None]]
# A holder that never has a lease.
NOBODY = UUID(int=0)
# Any number, as long as nothing else in the database uses it for advisory locks of two numbers.
_CLAIMING = 0x736C6F74

# A process whose lease has run out takes nothing new, even before it knows.
LEASED: LiteralString = (
    "EXISTS (SELECT 1 FROM worker_leases l WHERE l.id = %(holder)s AND l.expires_at > clock_timestamp())"
)


def claims_of(user: LiteralString) -> LiteralString:
    """The key of the advisory lock under which the slots of `user` (a column or parameter of our own code) are given away."""
    return f"{_CLAIMING}, hashtext({user})"


def worked_on(conversation: LiteralString) -> LiteralString:
    """The SQL condition that a living worker holds a turn of the conversation, also one that has ended."""
    return (
        "EXISTS (SELECT 1 FROM turns h"
        f" WHERE h.conversation_id = {conversation} AND h.holder IS NOT NULL AND {holder_alive('h')})"
    )


def unstored_beside(turn: LiteralString, conversation: LiteralString) -> LiteralString:
    """The SQL condition that other turns of the conversation have messages that no workspace has yet."""
    return (
        f"EXISTS (SELECT 1 FROM turns b WHERE b.conversation_id = {conversation} AND b.id <> {turn}"
        " AND b.history_stored_at IS NULL AND b.history IS NOT NULL AND b.state IN ('done', 'failed', 'cancelled'))"
    )


_HEAD = f"""
    t.state IN ('queued', 'running') AND t.joined_to IS NULL
    AND (t.state = 'running' OR t.run_after IS NULL OR t.run_after <= clock_timestamp())
    AND (t.state = 'running' OR NOT EXISTS (
        SELECT 1 FROM turns e
        WHERE e.conversation_id = t.conversation_id AND e.state IN ('queued', 'running') AND e.joined_to IS NULL
          AND (e.state = 'running' OR (e.accepted_at, e.id) < (t.accepted_at, t.id))))
    AND NOT {worked_on("t.conversation_id")}
    AND (t.state = 'running' OR COALESCE(
        (SELECT count(*) FROM turns r WHERE r.user_id = t.user_id AND r.state = 'running') < {turn_cap("t.user_id")}, true))
"""
_LOCK_CONVERSATION = f"""
    SELECT picked.id, picked.user_id, pg_try_advisory_xact_lock({claims_of("picked.user_id")}) FROM (
        SELECT c.id, t.user_id FROM turns t JOIN conversations c ON c.id = t.conversation_id
        WHERE {_HEAD} AND {LEASED} AND t.user_id <> ALL(%(passed)s)
        ORDER BY t.accepted_at LIMIT 1 FOR NO KEY UPDATE OF c SKIP LOCKED) picked
"""
_COLUMNS = f"""
    t.id::text AS turn, t.user_id, t.conversation_id::text AS conversation, t.channel, t.content, t.wanted_model, t.reply_to,
    t.state, t.attempts, t.fence, t.cancel_requested, t.answer, t.history, t.model, t.usage, t.error_code, t.error_message,
    CASE WHEN t.fence = 1 AND t.told_position IS NULL THEN 1 ELSE t.journal_floor - {JOURNAL_BLOCK} END AS floor,
    t.journal_floor AS reserved,
    c.model AS preferred_model, c.model_settled, t.wait_kind, t.wait_id::text AS wait_id, t.wait_state, t.waits,
    COALESCE((SELECT w.workflow FROM workflow_runs w WHERE w.turn_id = t.id), '') AS workflow,
    EXISTS (SELECT 1 FROM uploads u WHERE u.turn_id = t.id) AS attached,
    {unstored_beside("t.id", "t.conversation_id")} AS unstored
"""
_CLAIM_HEAD = f"""
    UPDATE turns t SET state = 'running', holder = %(holder)s, fence = t.fence + 1, attempts = t.attempts + 1,
        run_after = NULL, started_at = COALESCE(t.started_at, clock_timestamp()),
        journal_floor = t.journal_floor + {JOURNAL_BLOCK}
    FROM conversations c
    WHERE c.id = t.conversation_id AND t.conversation_id = %(conversation)s AND {_HEAD}
    RETURNING {_COLUMNS}, false AS abandoned,
        extract(epoch FROM clock_timestamp() - t.accepted_at)::float8 AS waited_s
"""
# A finished turn that is still held is in its aftercare; see aftercare.py. Each condition is that of an index.
_ABANDONED = f"f.holder IS NOT NULL AND NOT {holder_alive('f')}"
# A workspace keeps a conversation's messages in the order in which they come: one turn at a time, the oldest that is due.
_UNSTORED = f"""
    f.holder IS NULL AND f.history IS NOT NULL AND f.history_stored_at IS NULL AND f.run_after <= clock_timestamp()
    AND NOT {worked_on("f.conversation_id")}
"""

_ENDED: LiteralString = "'done', 'failed', 'cancelled'"
_WAITING: LiteralString = "'awaiting_approval', 'awaiting_answer'"


def _care_for(condition: LiteralString, *, states: LiteralString = _ENDED) -> LiteralString:
    # A query in FROM may be run for each row that it is joined to, and would pick another turn each time.
    return f"""
    WITH picked AS MATERIALIZED (
        SELECT f.id, f.holder IS NOT NULL AS abandoned FROM turns f
        WHERE f.state IN ({states}) AND {LEASED} AND {condition}
        ORDER BY f.finished_at LIMIT 1 FOR UPDATE SKIP LOCKED)
    UPDATE turns t SET holder = %(holder)s, fence = t.fence + 1, run_after = NULL,
        journal_floor = t.journal_floor + {JOURNAL_BLOCK},
        last_seq = CASE WHEN picked.abandoned THEN NULL ELSE t.last_seq END
    FROM conversations c, picked WHERE t.id = picked.id AND c.id = t.conversation_id
    RETURNING {_COLUMNS}, picked.abandoned, 0.0::float8 AS waited_s
"""


_UNTOLD = (_care_for(_ABANDONED), _care_for(_ABANDONED, states=_WAITING))
_UNCARED = (*_UNTOLD, _care_for(_UNSTORED))


@dataclass(frozen=True, slots=True)
class Claim:
    """A turn that this process may write, as long as no higher fence exists.

    `floor` is the number of the first event should there be no journal (1 for the first claim of a turn that did not wait,
    before which nothing but the question was shown); numbers from `reserved` on need a reservation.
    `abandoned` = the turn had ended, or begun to wait, and its worker died before all was told. `wait_kind` and `wait_id` name
    what it waited for last, `wait_state` is what its brain wanted back; `answer` is what it had written by then. `attached` =
    it has files, `unstored` = earlier turns of its conversation have messages that no workspace has yet. `waited_s` is the
    time since the message was accepted, in seconds.
    """

    turn: str
    user_id: str
    conversation: str
    channel: str
    content: str
    wanted_model: str
    reply_to: dict[str, Any]
    state: str
    attempts: int
    fence: int
    cancel_requested: bool
    answer: str
    history: list[dict[str, Any]] | None
    model: str
    usage: dict[str, Any]
    error_code: str
    error_message: str
    floor: int
    reserved: int
    preferred_model: str
    workflow: str
    model_settled: bool
    wait_kind: str
    wait_id: str | None
    wait_state: dict[str, Any] | None
    waits: int
    attached: bool
    unstored: bool
    abandoned: bool
    waited_s: float


async def nothing(_conn: Connection) -> None:
    """The closing of an attempt that leaves nothing to close."""


async def claim_next(holder: UUID, *, passed: list[str] | None = None) -> Claim | None:
    """Take the next turn that may run, or None. Raises psycopg.Error when the database fails.

    Users whose slots another transaction is giving away are added to `passed`: their turns are to be looked at again soon.
    """
    passed = [] if passed is None else passed
    while True:
        async with connection() as conn, conn.transaction():
            values = {"holder": holder, "turn_caps": turn_caps(), "passed": passed}
            row = await (await conn.execute(_LOCK_CONVERSATION, values)).fetchone()
            if row is None:
                return None
            conversation, user, ours = row
            if not ours:
                passed.append(user)
                continue
            claim = await _claim(conn, _CLAIM_HEAD, values | {"conversation": conversation})
            if claim is not None and claim.fence > 1:
                await budgets.release(conn, claim.turn)
        # None: another took the turn in the moment before the lock; there may be other conversations.
        if claim is not None:
            return claim


async def claim_uncared(holder: UUID, *, stores: bool = True) -> Claim | None:
    """Take a turn that has ended, or waits for its user, and whose worker did not live to tell; or None.

    With `stores` also one that has ended and was told, and whose messages no workspace has yet.
    """
    async with connection() as conn:
        for statement in _UNCARED if stores else _UNTOLD:
            claim = await _claim(conn, statement, {"holder": holder})
            if claim is not None:
                return claim
    return None


async def release(claim: Claim, *, closing: Closing) -> None:
    """Put a running turn back into the queue, as if this attempt had not been; for a worker that is told to stop."""
    async with connection() as conn, conn.transaction():
        cursor = await conn.execute(
            "UPDATE turns SET state = 'queued', holder = NULL, attempts = attempts - 1"
            " WHERE id = %s AND fence = %s AND state = 'running'",
            (claim.turn, claim.fence),
        )
        if cursor.rowcount:
            await notify(conn, "turns")
        await closing(conn)


async def held_by(holder: UUID) -> dict[str, int]:
    """The fences of the turns that `holder` holds, in whatever state."""
    async with connection() as conn:
        cursor = await conn.execute("SELECT id::text, fence FROM turns WHERE holder = %s", (holder,))
        return {row[0]: row[1] for row in await cursor.fetchall()}


async def disown(turn: str, *, fence: int) -> None:
    """Give up a turn that no run of this process works on, as if its worker had died: anyone takes it over at once."""
    async with connection() as conn:
        await conn.execute("UPDATE turns SET holder = %s WHERE id = %s AND fence = %s", (NOBODY, turn, fence))
        await notify(conn, "turns")


async def cancellations(holder: UUID) -> list[str]:
    """The running turns of `holder` that somebody wants cancelled."""
    async with connection() as conn:
        cursor = await conn.execute(
            "SELECT id::text FROM turns WHERE holder = %s AND state = 'running' AND cancel_requested", (holder,)
        )
        return [row[0] for row in await cursor.fetchall()]


async def _claim(conn: Connection, statement: LiteralString, parameters: dict[str, Any]) -> Claim | None:
    async with conn.cursor(row_factory=class_row(Claim)) as cursor:
        await cursor.execute(statement, parameters)
        return await cursor.fetchone()
