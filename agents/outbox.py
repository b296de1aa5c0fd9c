"""What must reach people outside the page: written with the change of state that it tells of, taken once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Json, Jsonb

from agents.schedules.naming import BEGUN_BY, name_of
from gateway.db import Connection, connection, notify
from gateway.ids import new_id

# The page's answers go through the journal.
WEB = "web"
# A target with this mark (true) is read by others than the user, too.
SHARED = "shared"
# What a user may decide in any channel is told in all of them, wherever the turn was asked.
EVERYWHERE = frozenset({"approval", "approval_settled", "question", "question_settled"})
# What a turn had written when it began to wait for its user, also when that is nothing: it comes before what is asked.
SAID = "said"
# Any number, as long as nothing else in the database uses it for an advisory lock.
_TAKING = 0x6F757462


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """Something to say to a user in `channel`; `reply_to` is that channel's own target.

    `kind` is done, failed, cancelled or SAID; `payload` holds `content`, or `code` and `message`. Of the content the first
    `told` characters were told before, and `images` (`{"url", "alt"}`) were shown with the rest. Or it is one of EVERYWHERE,
    with the fields of that event, and of an outcome also the title and details, or the text, of what was asked. `said_in`
    (`{"channel", "reply_to"}`) is where a command says already that its turn was stopped. What a command answers is
    the gateway's `own`, and may be `urgent`. `begun_by` is known once the row is
    taken; see schedules/naming.py.
    """

    id: str
    turn: str | None
    user_id: str
    channel: str
    reply_to: dict[str, Any]
    kind: str
    payload: dict[str, Any]
    begun_by: dict[str, Any] | None = None

    @property
    def task(self) -> str:
        """The task that its turn was begun by; "" when its user wrote it."""
        return name_of(self.begun_by)


async def put(conn: Connection, row: OutboxRow) -> None:
    """Write `row` in the caller's transaction; the page needs none of a turn's end."""
    if row.channel == WEB and row.kind not in EVERYWHERE:
        return
    await conn.execute(
        "INSERT INTO outbox (id, turn_id, user_id, channel, reply_to, kind, payload) VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (row.id, row.turn, row.user_id, row.channel, Jsonb(row.reply_to), row.kind, Json(row.payload)),
    )
    await notify(conn, "outbox")


def new_row_id() -> str:
    """The id of a row to be written."""
    return new_id()


@asynccontextmanager
async def batch(*, limit: int = 50) -> AsyncIterator[tuple[Connection, list[OutboxRow]]]:
    """Take the oldest rows; they are gone once the caller's transaction, the yielded connection's, commits.

    What the caller writes on that connection (its own durable rows) commits with it, or nothing is taken.
    """
    async with connection() as conn, conn.transaction():
        # One taker at a time: two that commit in another order than they took would turn a chat's answers round.
        await conn.execute("SELECT pg_advisory_xact_lock(%s)", (_TAKING,))
        async with conn.cursor(row_factory=class_row(OutboxRow)) as cursor:
            await cursor.execute(
                "WITH taken AS (DELETE FROM outbox WHERE id IN (SELECT id FROM outbox ORDER BY id LIMIT %s FOR UPDATE)"
                " RETURNING id, turn_id, user_id, channel, reply_to, kind, payload)"
                " SELECT o.id::text, o.turn_id::text AS turn, o.user_id, o.channel, o.reply_to, o.kind, o.payload,"
                f" {BEGUN_BY} AS begun_by FROM taken o LEFT JOIN turns t ON t.id = o.turn_id",
                (limit,),
            )
            rows = await cursor.fetchall()
        yield conn, sorted(rows, key=lambda row: row.id)
