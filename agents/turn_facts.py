"""How turns ended: what the gateway keeps of them when only the workspace has their words."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from psycopg.rows import class_row

from gateway.db import connection
from gateway.ids import is_id


@dataclass(frozen=True, slots=True)
class TurnFacts:
    """A turn that has ended; `usage` as of its event `done`, the error's fields empty unless it failed."""

    turn: str
    state: str
    usage: dict[str, Any]
    error_code: str
    error_message: str
    ms: int


async def facts_of_turns(turns: Iterable[str], *, user_id: str) -> list[TurnFacts]:
    """Those of the turns that are the user's and have ended; any other name is passed over."""
    asked = [turn for turn in set(turns) if is_id(turn)]
    if not asked:
        return []
    async with connection() as conn, conn.cursor(row_factory=class_row(TurnFacts)) as cursor:
        await cursor.execute(
            "SELECT id::text AS turn, state, usage, error_code, error_message,"
            " (extract(epoch FROM finished_at - accepted_at) * 1000)::bigint AS ms FROM turns"
            " WHERE user_id = %s AND id = ANY(%s::uuid[]) AND finished_at IS NOT NULL"
            " AND state IN ('done', 'failed', 'cancelled') ORDER BY id",
            (user_id, asked),
        )
        return await cursor.fetchall()
