"""In which language the gateway itself speaks in chats. Source: a bot whose menu was German, and nothing else."""

import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import Client

from accounts.languages import choose_language, language_of
from agents.approvals import Decision, decide
from agents.tests.engine import something_waits
from channels_app import linking
from channels_app.channels import Inbound, Press
from channels_app.channels.discord import CHANNEL as DISCORD
from channels_app.channels.telegram import CHANNEL
from channels_app.inbound import receive
from channels_app.presses import receive as receive_press
from channels_app.richtext import visible_text
from channels_app.tests.chats.bot_api import BotApi
from channels_app.tests.chats.contract import Chat
from channels_app.tests.chats.sending import answer, deliver, new_sender
from channels_app.tests.chats.tables import link, rows
from channels_app.tests.chats.test_telegram import update
from channels_app.tests.payloads import load

pytestmark = pytest.mark.django_db(transaction=True)


async def write(text: str | None, *, language: str = "de-AT", sender: int = 7, number: int = 9, **fields: Any) -> str:
    """Somebody whose Telegram speaks a language writes in a private chat."""
    account = {"id": sender, "is_bot": False, "language_code": language}
    value = update(text=text, chat={"id": sender, "type": "private"}, **{"from": account}, **fields)
    found = CHANNEL.parse(value | {"update_id": number})
    assert isinstance(found, Inbound)
    return await receive(CHANNEL, found)


async def told(bot_api: BotApi, chat: int = 7) -> str:
    """What was said last in a chat."""
    await deliver(await new_sender())
    return visible_text(bot_api.texts(chat)[-1])


async def test_a_stranger_is_answered_in_the_language_of_their_app(bot_api: BotApi, pool: None, licensed: Any) -> None:
    await write("Hallo", sender=8)
    assert "Ich kenne Sie noch nicht" in await told(bot_api, 8)
    await write("Hello", sender=9, language="fr", number=10)

    assert "I don't know you yet" in await told(bot_api, 9)


@pytest.mark.usefixtures("linked", "pool")
async def test_commands_and_refusals_are_answered_in_the_accounts_language(bot_api: BotApi) -> None:
    await write("/help")
    assert "/stop – die Antworten anhalten" in await told(bot_api)
    await write("/stop", number=10)
    assert await told(bot_api) == "Es läuft nichts."
    await write("/nothing", number=11)
    assert (await told(bot_api)).startswith("Diesen Befehl kenne ich nicht.")
    await write(None, number=12, sticker={"file_id": "x"})
    assert "Das kann ich nicht lesen: Sticker." in await told(bot_api)
    await write("x" * 32_001, number=13)
    assert await told(bot_api) == "Die Nachricht ist länger als 32,000 Zeichen."
    await rows("UPDATE user_licenses SET resource_limits = '{\"messages_per_minute\": 0}'")
    await write("Was kostet Gold?", number=14)

    assert "Ihre Lizenz enthält keine Nachrichten." in await told(bot_api)


@pytest.mark.usefixtures("linked", "pool")
async def test_what_is_asked_settled_and_pressed_is_said_in_the_language_of_each_chat(bot_api: BotApi) -> None:
    await link("demo-pro", 1)
    await write("/help")
    approval = await something_waits("demo-pro", "ask yes")
    await deliver(await new_sender())
    asked = [visible_text(bot_api.texts(chat)[-1]) for chat in (7, 1)]
    keyboards = [
        json.loads(call.parameters["reply_markup"]) for call in bot_api.calls if "reply_markup" in call.parameters
    ]

    assert "Entscheiden Sie bis" in asked[0]
    assert "Decide until" in asked[1]
    words = {tuple(button["text"] for row in board["inline_keyboard"] for button in row) for board in keyboards}
    assert words == {("Freigeben", "Ablehnen"), ("Approve", "Reject")}

    await decide(Decision(approval=approval, choice="approve", user_id="demo-pro", channel="web"))
    await deliver(await new_sender())
    assert any("✅ Freigegeben auf der Webseite." in text for text in bot_api.edited.values())
    assert any("✅ Approved on the web page." in text for text in bot_api.edited.values())

    [(token,)] = await rows("SELECT token FROM chat_buttons WHERE account = '7' AND choice = '\"reject\"'")
    await receive_press(CHANNEL, Press(sender="7", token=token, query="q1"))
    await bot_api.until(lambda api: any(call.method == "answerCallbackQuery" for call in api.calls))
    [notice] = [call.parameters["text"] for call in bot_api.calls if call.method == "answerCallbackQuery"]
    assert notice == "Das wurde zuvor auf der Webseite freigegeben. Es hat sich nichts geändert."


@pytest.mark.usefixtures("linked", "pool")
async def test_the_language_of_the_page_comes_before_the_apps(bot_api: BotApi) -> None:
    await choose_language("demo-pro", "en")
    await write("/stop")
    assert await told(bot_api) == "Nothing is running."
    await choose_language("demo-pro", "de")
    await write("/stop", language="en", number=10)

    assert await told(bot_api) == "Es läuft nichts."


@pytest.mark.usefixtures("linked", "pool")
async def test_words_of_a_model_stay_as_they_are_and_what_the_gateway_adds_is_said_in_the_accounts_language(
    bot_api: BotApi,
) -> None:
    await write("/help")
    await answer("Gold is up.", kind="cancelled")
    assert await told(bot_api) == "Gold is up.\n\nAngehalten."
    await answer("no\n\nStopped.")
    assert await told(bot_api) == "no\n\nStopped."
    why = "Something went wrong on our side."
    await answer("", kind="failed", message=why)
    assert await told(bot_api) == "Auf unserer Seite ist etwas schiefgegangen."
    await answer(f"Gold\n\n{why}", kind="failed", message=why)

    assert await told(bot_api) == "Gold\n\nAuf unserer Seite ist etwas schiefgegangen."


async def test_the_menu_of_the_page_decides_for_the_chats(users: dict[str, str], pool: None) -> None:
    browser = Client()
    await sync_to_async(browser.post)("/signin/", {"user": "demo-pro"})
    await sync_to_async(browser.post)("/language/", {"language": "de", "next": "/"})
    assert await language_of("demo-pro", channel="telegram", account="7") == "de"
    await sync_to_async(browser.post)("/language/", {"language": "xx", "next": "/"})
    assert await language_of("demo-pro", channel="telegram", account="7") == "de"
    await sync_to_async(Client().post)("/language/", {"language": "en", "next": "/"})

    assert await language_of("demo-pro", channel="telegram", account="7") == "de"


def test_discords_interactions_tell_the_language_of_who_makes_them() -> None:
    value = load("discord", "command_help") | {"locale": "de"}

    found = DISCORD.parse(value)
    assert isinstance(found, Inbound)
    assert found.language == "de"


async def test_every_channel_speaks_the_language_that_was_chosen(chat: Chat) -> None:
    await choose_language("demo-pro", "de")
    await chat.write("/stop")
    await chat.deliver()
    await something_waits("demo-pro", "ask yes")
    await chat.deliver()

    assert "Es läuft nichts." in chat.driver.shown()[-2]
    assert [words for words, _ in chat.driver.buttons()] == ["Freigeben", "Ablehnen"]


async def test_a_new_link_is_told_in_the_language_of_the_page(
    bot_api: BotApi, users: dict[str, str], pool: None
) -> None:
    await choose_language("demo-pro", "de")
    offer = await linking.offer_code("demo-pro", channel="telegram")
    await write(f"/link {offer.issued.code}", language="en")
    [(request,)] = await rows("SELECT id::text FROM link_codes WHERE channel_user_id = '7'")
    await linking.confirm(request, user_id="demo-pro")

    assert (await told(bot_api)).startswith("Verbunden. Dieses Telegram-Konto spricht ab jetzt")
