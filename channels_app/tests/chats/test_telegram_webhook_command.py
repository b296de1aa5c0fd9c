"""`manage.py telegram_webhook`. Source: DESIGN.md section 10; Bot API: setWebhook with its secret and allowed updates."""

import asyncio
import json
from io import StringIO
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import CommandError

from channels_app.tests.chats.bot_api import TOKEN, BotApi, refusal
from channels_app.tests.chats.conftest import SECRET


async def run(*arguments: str) -> str:
    """What the command prints."""
    out = StringIO()
    await asyncio.to_thread(call_command, "telegram_webhook", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("url", ["https://gw.example", "https://gw.example/", "https://gw.example/webhook/telegram"])
async def test_set_gives_telegram_the_address_the_secret_and_what_to_send(bot_api: BotApi, url: str) -> None:
    printed = await run("set", "--url", url)

    [setting, info] = bot_api.calls
    assert (setting.method, info.method) == ("setWebhook", "getWebhookInfo")
    assert setting.parameters["url"] == "https://gw.example/webhook/telegram"
    assert setting.parameters["secret_token"] == SECRET
    assert json.loads(setting.parameters["allowed_updates"]) == ["message", "callback_query"]
    assert "https://gw.example/webhook/telegram" in printed
    assert SECRET not in printed


async def test_info_as_json_says_what_waits(bot_api: BotApi) -> None:
    assert json.loads(await run("info", "--json")) == {
        "url": "https://gw.example/webhook/telegram",
        "pending_updates": 2,
        "last_error": "",
    }


async def test_delete_removes_the_webhook_and_keeps_what_waits(bot_api: BotApi) -> None:
    await run("delete")

    assert bot_api.calls[0].method == "deleteWebhook"
    assert "drop_pending_updates" not in bot_api.calls[0].parameters


@pytest.mark.parametrize("url", ["", "http://gw.example", "gw.example", "https://", "https://gw.example?x=1"])
async def test_an_address_that_telegram_would_not_take_is_refused(bot_api: BotApi, url: str) -> None:
    with pytest.raises(CommandError, match="public address"):
        await run("set", "--url", url)
    assert bot_api.calls == []


async def test_a_refusal_of_telegrams_is_an_error_without_the_token(bot_api: BotApi) -> None:
    bot_api.script.append(refusal(401, "Unauthorized"))

    with pytest.raises(CommandError, match="token_refused") as raised:
        await run("info")

    assert TOKEN not in str(raised.value)


async def test_without_settings_there_is_nothing_to_do(settings: Any) -> None:
    settings.TELEGRAM_BOT_TOKEN = settings.TELEGRAM_WEBHOOK_SECRET = ""

    with pytest.raises(CommandError, match="TELEGRAM_BOT_TOKEN"):
        await run("info")


async def test_half_a_configuration_is_none(settings: Any) -> None:
    settings.TELEGRAM_BOT_TOKEN, settings.TELEGRAM_WEBHOOK_SECRET = TOKEN, ""

    with pytest.raises(ImproperlyConfigured, match="together"):
        await run("info")
