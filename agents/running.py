"""The turns that a worker process runs for people in chat apps."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from agents.outbox import WEB
from gateway.db import connection


@dataclass(frozen=True, slots=True)
class RunningTurn:
    """A turn that is being answered; `reply_to` is its channel's own target, `told` what it had written when it last waited."""

    id: str
    user_id: str
    channel: str
    reply_to: dict[str, Any]
    told: str


async def running_in_chats(holder: UUID) -> list[RunningTurn]:
    """The running turns of other channels than the page that the process with this lease holds; joined ones are no answers."""
    async with connection() as conn, conn.cursor(row_factory=class_row(RunningTurn)) as cursor:
        await cursor.execute(
            "SELECT id::text, user_id, channel, reply_to, answer AS told FROM turns"
            " WHERE holder = %s AND state = 'running' AND channel <> %s AND joined_to IS NULL ORDER BY id",
            (holder, WEB),
        )
        return await cursor.fetchall()
