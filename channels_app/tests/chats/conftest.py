"""Each channel switched on, with a server of its own in place of the platform's; Telegram's with more to it."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from channels.routing import get_default_application

from channels_app.channels.telegram import CHANNEL
from channels_app.tests.chats.bot_api import TOKEN, BotApi, bot_api_server
from channels_app.tests.chats.contract import Chat, link_account
from channels_app.tests.chats.sending import new_sender
from channels_app.tests.chats.tables import SECRET, link
from channels_app.tests.doubles.callback import WebhookDriver
from channels_app.tests.doubles.discord import DiscordDriver
from channels_app.tests.doubles.driver import Driver
from channels_app.tests.doubles.slack import SlackDriver
from channels_app.tests.doubles.telegram import TelegramDriver
from channels_app.tests.live import serving

DRIVERS: dict[str, type[Driver]] = {
    "discord": DiscordDriver,
    "slack": SlackDriver,
    "telegram": TelegramDriver,
    "webhook": WebhookDriver,
}


@pytest.fixture(params=sorted(DRIVERS))
async def driver(request: pytest.FixtureRequest, settings: Any) -> AsyncIterator[Driver]:
    """The channel, switched on."""
    driver = DRIVERS[request.param]()
    async with driver.on(settings):
        yield driver


@pytest.fixture
async def chat(driver: Driver, licensed: dict[str, str], pool: None) -> AsyncIterator[Chat]:
    """The chat of an account that speaks for demo-pro, and one that speaks for demo-free."""
    await link_account("demo-pro", driver.channel.name, driver.account)
    await link_account("demo-free", driver.channel.name, driver.other)
    async with (
        serving(get_default_application()) as host,
        httpx.AsyncClient(base_url=f"http://{host}", timeout=60) as http,
    ):
        yield Chat(driver, http, await new_sender())


@pytest.fixture
async def bot_api(settings: Any) -> AsyncIterator[BotApi]:
    """The Bot API; Telegram is on."""
    settings.TELEGRAM_BOT_TOKEN, settings.TELEGRAM_WEBHOOK_SECRET = TOKEN, SECRET
    async with bot_api_server() as api:
        settings.TELEGRAM_API_BASE_URL = api.url
        yield api
        await CHANNEL.close()


@pytest.fixture
async def linked(users: dict[str, str], pool: None) -> None:
    """Chat 7 is demo-pro's."""
    await link("demo-pro", 7)
