"""The turns that a worker process runs for people in chat apps."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from agents.outbox import WEB
from agents.schedules.naming import BEGUN_BY, name_of
from gateway.db import connection


@dataclass(frozen=True, slots=True)
class RunningTurn:
    """A turn that is being answered; `reply_to` is its channel's own target, `told` what it had written when it last waited.

    `about` is its conversation's title, of a new one the beginning of what is asked. `begun_by`: see schedules/naming.py.
    """

    id: str
    user_id: str
    channel: str
    reply_to: dict[str, Any]
    told: str
    about: str
    begun_by: dict[str, Any] | None = None

    @property
    def task(self) -> str:
        """The task that it was begun by; "" when its user wrote it."""
        return name_of(self.begun_by)


async def running_in_chats(holder: UUID) -> list[RunningTurn]:
    """The running turns of other channels than the page that the process with this lease holds; joined ones are no answers."""
    async with connection() as conn, conn.cursor(row_factory=class_row(RunningTurn)) as cursor:
        await cursor.execute(
            "SELECT t.id::text, t.user_id, t.channel, t.reply_to, t.answer AS told,"
            " COALESCE(NULLIF(c.title, ''), left(regexp_replace(t.content, '\\s+', ' ', 'g'), 60)) AS about,"
            f" {BEGUN_BY} AS begun_by"
            " FROM turns t JOIN conversations c ON c.id = t.conversation_id"
            " WHERE t.holder = %s AND t.state = 'running' AND t.channel <> %s AND t.joined_to IS NULL ORDER BY t.id",
            (holder, WEB),
        )
        return await cursor.fetchall()
