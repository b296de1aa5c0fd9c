"""What the tests of chats write into tables, and read there."""

from typing import Any

from gateway.db import connection
from gateway.ids import new_uuid

SECRET = "a-secret_Of-the-webhook"


async def link(user: str, account: int) -> None:
    """Let a Telegram account speak for a user."""
    async with connection() as conn:
        await conn.execute(
            "INSERT INTO user_channel_links (id, user_id, channel_type, channel_user_id) VALUES (%s, %s, 'telegram', %s)",
            (new_uuid(), user, str(account)),
        )


async def rows(query: str) -> list[tuple[Any, ...]]:
    """What a statement returns, the whole table at a time."""
    async with connection() as conn:
        cursor = await conn.execute(query)
        return await cursor.fetchall() if cursor.description else []
