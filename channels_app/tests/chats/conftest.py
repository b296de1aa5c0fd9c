"""Telegram switched on, with a server of its own in place of Telegram's."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from channels_app.channels.telegram import CHANNEL
from channels_app.tests.chats.bot_api import TOKEN, BotApi, bot_api_server
from gateway.db import connection
from gateway.ids import new_uuid

SECRET = "a-secret_Of-the-webhook"


@pytest.fixture
async def bot_api(settings: Any) -> AsyncIterator[BotApi]:
    """The Bot API; Telegram is on."""
    settings.TELEGRAM_BOT_TOKEN, settings.TELEGRAM_WEBHOOK_SECRET = TOKEN, SECRET
    async with bot_api_server() as api:
        settings.TELEGRAM_API_BASE_URL = api.url
        yield api
        await CHANNEL.close()


async def link(user: str, account: int) -> None:
    """Let a Telegram account speak for a user."""
    async with connection() as conn:
        await conn.execute(
            "INSERT INTO user_channel_links (id, user_id, channel_type, channel_user_id) VALUES (%s, %s, 'telegram', %s)",
            (new_uuid(), user, str(account)),
        )


@pytest.fixture
async def linked(users: dict[str, str], pool: None) -> None:
    """Chat 7 is demo-pro's."""
    await link("demo-pro", 7)


async def rows(query: str) -> list[tuple[Any, ...]]:
    """What a statement returns, the whole table at a time."""
    async with connection() as conn:
        cursor = await conn.execute(query)
        return await cursor.fetchall() if cursor.description else []
