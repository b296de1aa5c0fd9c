"""Whether those who are connected may still be: looked up for all connections of a process at once."""

from collections.abc import Collection

from gateway.db import connection


async def licence_marks(user_ids: Collection[str]) -> dict[str, str]:
    """Of these users those whose licence is in force, each with a mark that is another one after every change of it."""
    async with connection() as conn:
        # xmin is the transaction that wrote the row, whoever did it.
        cursor = await conn.execute(
            "SELECT user_id, xmin::text FROM user_licenses"
            " WHERE user_id = ANY(%s) AND (expires_at IS NULL OR expires_at > clock_timestamp())",
            (list(user_ids),),
        )
        return dict(await cursor.fetchall())


async def open_sessions(session_ids: Collection[str]) -> set[str]:
    """Of these browser sessions those that nobody has signed out."""
    async with connection() as conn:
        cursor = await conn.execute(
            "SELECT id::text FROM browser_sessions WHERE id = ANY(%s::uuid[])", (list(session_ids),)
        )
        return {row[0] for row in await cursor.fetchall()}
