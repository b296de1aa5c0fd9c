"""Which turns have not ended."""

from collections import defaultdict
from collections.abc import Collection

from gateway.db import connection


async def open_turns(user_id: str, *, conversation: str | None = None) -> list[str]:
    """The ids of the user's turns that have not ended, the oldest first."""
    async with connection() as conn:
        cursor = await conn.execute(
            "SELECT id::text FROM turns WHERE user_id = %s AND state NOT IN ('done', 'failed', 'cancelled')"
            " AND (%s::uuid IS NULL OR conversation_id = %s) ORDER BY accepted_at, id",
            (user_id, conversation, conversation),
        )
        return [row[0] for row in await cursor.fetchall()]


async def open_turns_of(user_ids: Collection[str]) -> dict[str, list[str]]:
    """The same of many users at once; without those who have none."""
    found: dict[str, list[str]] = defaultdict(list)
    async with connection() as conn:
        cursor = await conn.execute(
            "SELECT user_id, id::text FROM turns WHERE user_id = ANY(%s) AND state NOT IN ('done', 'failed', 'cancelled')"
            " ORDER BY accepted_at, id",
            ([*user_ids],),
        )
        for user, turn in await cursor.fetchall():
            found[user].append(turn)
    return found
