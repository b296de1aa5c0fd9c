"""What turns wait for, as rows: an approval or a question, settled once, which puts its turn back into the queue.

Pending exactly as long as its turn waits. Whoever settles one locks the turn first and the row after it, in this order
everywhere; the settlement, the turn's new state and what people are told of it are one transaction.
"""

from typing import Any, LiteralString

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Json, Jsonb

from accounts import audit
from accounts.channel_names import place_of
from agents.errors import FenceLost, Refused
from agents.outbox import SAID, OutboxRow, new_row_id, put
from agents.queue import NOBODY, Claim, Closing
from agents.settlement import NOTHING_BESIDE, Beside, storable
from agents.wait_events import IdleTurn, Row, WaitEvent, asked_event, events_of, settled_event, show
from agents.waiting import ApprovalRequest, QuestionRequest, Resumed, WaitKind, Waits, digest_of
from gateway.db import Connection, connection, notify
from gateway.ids import new_id

# Who settles what nobody decided in time.
GATEWAY = "gateway"
# Numbers that are reserved for the events of one settlement.
SETTLE_BLOCK = 10
# Rows that one look settles as expired.
EXPIRY_BATCH = 100

WAITING = frozenset({"awaiting_approval", "awaiting_answer"})
TABLES: dict[WaitKind, LiteralString] = {"approval": "approvals", "question": "questions"}
# The columns of an IdleTurn; %(block)s is how many numbers the statement has reserved.
IDLE: LiteralString = (
    "id::text AS turn, user_id, conversation_id::text AS conversation, channel, reply_to, content, answer, fence,"
    " journal_floor - %(block)s AS floor"
)
_ERASE: tuple[LiteralString, ...] = (
    "UPDATE approvals a SET title = '', details = '{}', covered = '', comment = '' FROM turns t WHERE t.id = a.turn_id"
    " AND a.covered <> '' AND t.state IN ('done', 'failed', 'cancelled') AND t.content = ''",
    "UPDATE questions q SET text = '', schema = '{}', values = NULL FROM turns t WHERE t.id = q.turn_id"
    " AND q.text <> '' AND t.state IN ('done', 'failed', 'cancelled') AND t.content = ''",
)


async def begin_wait(
    claim: Claim, waits: Waits, *, written: str, beside: Beside = NOTHING_BESIDE, closing: Closing
) -> WaitEvent | None:
    """Have a running turn wait, as one transaction; the event to be shown, or None when the turn is to be cancelled instead.

    What it had written and shown by then is told first.
    The turn stays held until `end_telling`, so that the event comes first in its journal. Raises FenceLost when another
    worker has taken it over; then nothing is changed.
    """
    kind: WaitKind = "approval" if isinstance(waits.request, ApprovalRequest) else "question"
    async with connection() as conn, conn.transaction():
        wait = new_id()
        cursor = await conn.execute(
            "UPDATE turns SET state = %s, answer = %s, attempts = 0, wait_kind = %s, wait_id = %s, wait_state = %s,"
            " waits = waits + 1, usage = %s WHERE id = %s AND fence = %s AND state = 'running' AND NOT cancel_requested",
            (
                _waiting(kind), storable(written), kind, wait, Jsonb(storable(waits.state)),
                Jsonb(waits.usage.payload() if waits.usage else {}), claim.turn, claim.fence,
            ),
        )  # fmt: skip
        if cursor.rowcount == 0:
            await _require_fence(conn, claim)
            return None
        event = asked_event(await _insert(conn, claim, waits.request, wait=wait))
        # Also where it is nothing: an attempt that died may have shown more, which nobody answers for.
        said = {"content": written, "told": len(claim.answer), **beside.payload()}
        for name, payload in ((SAID, storable(said)), (event.type, storable(event.payload()))):
            own = (claim.turn, claim.user_id, claim.channel, claim.reply_to)
            await put(conn, OutboxRow(new_row_id(), *own, name, payload))
        await closing(conn)
    return event


async def end_telling(claim: Claim) -> None:
    """The turn's journal shows what it waits for: let go of it, and of its conversation."""
    async with connection() as conn, conn.transaction():
        await conn.execute("UPDATE turns SET holder = NULL WHERE id = %s AND fence = %s", (claim.turn, claim.fence))
        await notify(conn, "turns")


async def lock_turn(conn: Connection, kind: WaitKind, wait: str) -> None:
    """Hold the turn of an approval or question until the caller's transaction ends; nothing when there is none."""
    await conn.execute(
        f"SELECT 1 FROM turns WHERE id = (SELECT turn_id FROM {TABLES[kind]} WHERE id = %s) FOR NO KEY UPDATE", (wait,)
    )


async def wake(conn: Connection, row: Row) -> IdleTurn:
    """Put the turn of a row that was just settled back into the queue, and tell its channel, in the caller's transaction."""
    async with conn.cursor(row_factory=class_row(IdleTurn)) as cursor:
        await cursor.execute(
            "UPDATE turns SET state = 'queued', holder = NULL, run_after = NULL, fence = fence + 1,"
            " journal_floor = journal_floor + %(block)s"
            f" WHERE id = %(turn)s AND state = %(state)s RETURNING {IDLE}",
            {"block": SETTLE_BLOCK, "turn": row["turn_id"], "state": _waiting(row["kind"])},
        )
        woken = await cursor.fetchone()
    if woken is None:
        raise RuntimeError("Something was waited for by a turn that does not wait.")
    await tell_channel(conn, woken, row)
    await notify(conn, "turns")
    return woken


async def tell_channel(conn: Connection, idle: IdleTurn, row: Row) -> None:
    """Tell a turn's channel what became of a row, in the caller's transaction."""
    event = settled_event(row)
    payload = event.payload() | {name: row[name] for name in ("title", "details", "text") if name in row}
    await put(conn, OutboxRow(new_row_id(), idle.turn, idle.user_id, idle.channel, idle.reply_to, event.type, payload))


async def cancel_wait(conn: Connection, turn: str) -> Row | None:
    """Settle what a turn that is being cancelled waits for, in the caller's transaction, which holds the turn."""
    for kind, table in TABLES.items():
        row = await one(
            conn,
            f"UPDATE {table} SET state = 'cancelled', decided_at = clock_timestamp()"
            f" WHERE turn_id = %s AND state = 'pending' RETURNING {_row(kind)}",
            (turn,),
        )
        if row is not None:
            return row
    return None


async def expire_waits() -> int:
    """Settle what nobody decided in time, so that its turns go on and say so; how many were settled."""
    settled = 0
    for kind, table in TABLES.items():
        async with connection() as conn:
            cursor = await conn.execute(
                f"SELECT id::text FROM {table} WHERE state = 'pending' AND expires_at <= clock_timestamp()"
                " ORDER BY expires_at LIMIT %s",
                (EXPIRY_BATCH,),
            )
            due = [row[0] for row in await cursor.fetchall()]
        for wait in due:
            settled += await _expire(kind, wait)
    return settled


async def read_wait(kind: str, wait: str) -> Row | None:
    """The row of an approval or question, with its `kind`."""
    found: WaitKind = "approval" if kind == "approval" else "question"
    async with connection() as conn:
        return await one(conn, f"SELECT {_row(found)} FROM {TABLES[found]} WHERE id = %s", (wait,))


def resumed_by(row: Row, *, state: dict[str, Any], written: str) -> Resumed:
    """A settled row in the words of a brain."""
    return Resumed(
        kind=row["kind"],
        id=str(row["id"]),
        decision=row["state"],
        by_channel=row["by_channel"],
        decided_at=row["decided_at"],
        digest=row.get("digest", ""),
        comment=row.get("comment", ""),
        values=row.get("values"),
        state=state,
        written=written,
    )


def code_of(wait: str) -> str:
    """The end of an id, which people type: 8 of its random characters."""
    return wait[-8:]


async def erase_words() -> None:
    """Erase what was asked of the user once the turn's own texts are erased."""
    async with connection() as conn:
        for statement in _ERASE:
            await conn.execute(statement)


async def ask_to_tell(turn: str) -> None:
    """Have a worker write anew what a waiting turn's journal, which is lost, should hold."""
    async with connection() as conn, conn.transaction():
        await conn.execute(
            "UPDATE turns SET holder = %s WHERE id = %s AND holder IS NULL"
            " AND state IN ('awaiting_approval', 'awaiting_answer')",
            (NOBODY, turn),
        )


async def tell_again(claim: Claim) -> bool:
    """Write what a waiting turn's journal lacks, for a worker that could not; False when it can't be written now."""
    row = await read_wait(claim.wait_kind, claim.wait_id or "")
    idle = IdleTurn(
        claim.turn, claim.user_id, claim.conversation, claim.channel, claim.reply_to, claim.content, claim.answer,
        claim.fence, claim.floor,
    )  # fmt: skip
    if row is not None and not await show(idle, events_of(row)):
        return False
    await end_telling(claim)
    return True


async def _expire(kind: WaitKind, wait: str) -> bool:
    async with connection() as conn, conn.transaction():
        await lock_turn(conn, kind, wait)
        row = await one(
            conn,
            f"UPDATE {TABLES[kind]} SET state = 'expired', decided_at = clock_timestamp(), by_channel = %s"
            f" WHERE id = %s AND state = 'pending' AND expires_at <= clock_timestamp() RETURNING {_row(kind)}",
            (GATEWAY, wait),
        )
        if row is None:
            return False
        woken = await wake(conn, row)
        await record(conn, row, actor=audit.GATEWAY)
    await show(woken, events_of(row))
    return True


async def record(conn: Connection, row: Row, *, actor: str) -> None:
    """Write an outcome to the audit, in the caller's transaction: never what it was about, but the digest of that."""
    details = {"turn": str(row["turn_id"]), "by_channel": row["by_channel"]}
    if row["kind"] == "approval":
        details |= {"digest": row["digest"], "workflow": row["workflow"]}
    await audit.record_on(
        conn,
        audit.Event(
            actor=actor,
            action=f"{row['kind']}.{row['state']}",
            user_id=row["user_id"],
            object=f"{row['kind']}:{row['id']}",
            details=details,
        ),
    )


async def _insert(conn: Connection, claim: Claim, request: ApprovalRequest | QuestionRequest, *, wait: str) -> Row:
    own = (wait, claim.turn, claim.user_id, request.ttl)
    if isinstance(request, ApprovalRequest):
        covered = request.covered(claim.turn)
        statement = (
            "INSERT INTO approvals (id, turn_id, user_id, expires_at, workflow, title, details, covered, digest)"
            f" VALUES (%s, %s, %s, clock_timestamp() + %s, %s, %s, %s, %s, %s) RETURNING {_row('approval')}"
        )
        values = (
            request.workflow,
            storable(request.title),
            Json(storable(request.details)),
            covered,
            digest_of(covered),
        )
        row = await one(conn, statement, own + values)
    else:
        statement = (
            "INSERT INTO questions (id, turn_id, user_id, expires_at, text, schema)"
            f" VALUES (%s, %s, %s, clock_timestamp() + %s, %s, %s) RETURNING {_row('question')}"
        )
        row = await one(conn, statement, (*own, storable(request.text), Json(storable(request.schema))))
    if row is None:
        raise RuntimeError("An INSERT gave no row.")
    return row


async def _require_fence(conn: Connection, claim: Claim) -> None:
    cursor = await conn.execute(
        "SELECT 1 FROM turns WHERE id = %s AND fence = %s AND state = 'running'", (claim.turn, claim.fence)
    )
    if await cursor.fetchone() is None:
        raise FenceLost


_SETTLED_BEFORE = {
    "approved": gettext_noop("This was approved before {place}. Nothing has changed."),
    "rejected": gettext_noop("This was rejected before {place}. Nothing has changed."),
    "answered": gettext_noop("This was answered before {place}. Nothing has changed."),
    "declined": gettext_noop("This was declined before {place}. Nothing has changed."),
}


def settled_before(found: Row) -> Refused | None:
    """Why nothing more can be made of a row, in words; None when it could have been. `late`: its time was over."""
    if found["state"] in _SETTLED_BEFORE:
        place = place_of(found["by_channel"])
        return Refused("already_decided", _(_SETTLED_BEFORE[found["state"]]).format(place=place))
    if found["state"] == "cancelled":
        return Refused("already_decided", "This was withdrawn, because its message was stopped. Nothing has changed.")
    return too_late() if found["state"] == "expired" or found["late"] else None


def too_late() -> Refused:
    """The time to decide is over, also where it ended between a look and the decision."""
    return Refused("expired", "The time for this is over. Nothing has changed. Ask again if you still want it.")


async def one(conn: Connection, statement: LiteralString, parameters: tuple[Any, ...]) -> Row | None:
    """The one row that a statement gives, if it does."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement, parameters)
        return await cursor.fetchone()


def _row(kind: WaitKind) -> LiteralString:
    return "*, 'approval' AS kind" if kind == "approval" else "*, 'question' AS kind"


def _waiting(kind: WaitKind) -> str:
    return "awaiting_approval" if kind == "approval" else "awaiting_answer"
