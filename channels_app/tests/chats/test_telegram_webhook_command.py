"""`manage.py telegram_webhook`. Source: DESIGN.md section 10; Bot API: setWebhook with its secret and allowed updates."""

import asyncio
import json
import re
from io import StringIO
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import CommandError

from agents.commands import COMMANDS
from channels_app.channels._telegram.groups import OPEN
from channels_app.tests.chats.bot_api import TOKEN, BotApi, refusal
from channels_app.tests.chats.tables import SECRET


async def run(*arguments: str) -> str:
    """What the command prints."""
    out = StringIO()
    await asyncio.to_thread(call_command, "telegram_webhook", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("url", ["https://gw.example", "https://gw.example/", "https://gw.example/webhook/telegram"])
async def test_set_gives_telegram_the_address_the_secret_and_what_to_send(bot_api: BotApi, url: str) -> None:
    printed = await run("set", "--url", url)

    setting = bot_api.calls[0]
    assert [call.method for call in bot_api.calls] == ["setWebhook", *["setMyCommands"] * 4, "getWebhookInfo"]
    assert setting.parameters["url"] == "https://gw.example/webhook/telegram"
    assert setting.parameters["secret_token"] == SECRET
    assert json.loads(setting.parameters["allowed_updates"]) == [
        "message",
        "callback_query",
        "stopped_message_generation",
    ]
    assert "https://gw.example/webhook/telegram" in printed
    assert SECRET not in printed


async def test_set_gives_each_kind_of_chat_a_menu_in_english_and_german(bot_api: BotApi) -> None:
    """Source: Bot API, BotCommand: 1-32 of a-z, 0-9 and _, a description of 1-256 characters."""
    await run("set", "--url", "https://gw.example")

    menus = {}
    for call in bot_api.calls:
        if call.method == "setMyCommands":
            scope = json.loads(call.parameters["scope"])["type"]
            menus[scope, call.parameters.get("language_code", "")] = json.loads(call.parameters["commands"])
    private = [each["command"] for each in menus["all_private_chats", ""]]
    assert set(private) == set(COMMANDS) - {"analyze"} | {"drafts"}
    assert {"start", "help", "new", "stop", "model", "status", "usage", "link", "unlink"} < set(private)
    assert [each["command"] for each in menus["all_private_chats", "de"]] == private
    assert "Hallo sagen" in str(menus["all_private_chats", "de"])
    for language in ("", "de"):
        in_group = {each["command"] for each in menus["all_group_chats", language]}
        assert in_group <= OPEN, "nothing that is answered in private"
    for each in [entry for menu in menus.values() for entry in menu]:
        assert re.fullmatch(r"[a-z0-9_]{1,32}", each["command"])
        assert 1 <= len(each["description"]) <= 256


async def test_info_as_json_says_what_waits(bot_api: BotApi) -> None:
    assert json.loads(await run("info", "--json")) == {
        "url": "https://gw.example/webhook/telegram",
        "pending_updates": 2,
        "last_error": "",
    }


async def test_delete_removes_the_webhook_and_keeps_what_waits(bot_api: BotApi) -> None:
    await run("delete")

    methods = [call.method for call in bot_api.calls]
    assert methods == ["deleteWebhook", *["deleteMyCommands"] * 4, "getWebhookInfo"]
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
