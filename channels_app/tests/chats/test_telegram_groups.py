"""Telegram's groups. Source: the channel answers only who speaks to it, and tells nothing private to a group."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from channels.routing import get_default_application

from accounts.link_requests import requests_of
from agents import commands
from agents.tests.engine import TestWorker
from channels_app import linking
from channels_app.channels import Ignored, Inbound
from channels_app.channels.telegram import CHANNEL
from channels_app.tests.chats.bot_api import TOKEN, BotApi, refusal
from channels_app.tests.chats.contract import Chat, Previewing, link_account
from channels_app.tests.chats.sending import new_sender
from channels_app.tests.chats.tables import SECRET, rows
from channels_app.tests.chats.test_telegram import update
from channels_app.tests.doubles.driver import Post
from channels_app.tests.doubles.telegram import TelegramDriver
from channels_app.tests.live import serving

GROUP = -1005
ME = {"id": 123456, "is_bot": True}


def mention(text: str, name: str = "@DexBot", kind: str = "mention") -> list[dict[str, Any]]:
    before = text[: text.index(name)]
    return [{"type": kind, "offset": len(before.encode("utf-16-le")) // 2, "length": len(name)}]


def in_group(text: str | None, **changes: Any) -> dict[str, Any]:
    return update(text=text, chat={"id": GROUP, "type": "supergroup"}, **changes)


def asking(text: str, **changes: Any) -> dict[str, Any]:
    """Somebody names the bot."""
    return in_group(text, entities=mention(text), **changes)


@pytest.fixture
def on(settings: Any) -> None:
    settings.TELEGRAM_BOT_TOKEN, settings.TELEGRAM_WEBHOOK_SECRET = TOKEN, SECRET
    settings.TELEGRAM_BOT_USERNAME = "DexBot"


@pytest.mark.parametrize(
    ("value", "content"),
    [
        (asking("@DexBot RSI of SPX?"), "RSI of SPX?"),
        (asking("😀😀 @DexBot, RSI of SPX?"), "😀😀 , RSI of SPX?"),
        (in_group("What says @dexbot", entities=mention("What says @dexbot", "@dexbot")), "What says"),
        (asking("@DexBot"), "/help"),
        (in_group("Dex RSI?", entities=[{"type": "text_mention", "offset": 0, "length": 3, "user": ME}]), "RSI?"),
        (in_group("And now?", reply_to_message={"from": ME}), "And now?"),
        (in_group("/new@DexBot", entities=mention("/new@DexBot", "/new@DexBot", "bot_command")), "/new@DexBot"),
    ],
)
def test_who_speaks_to_the_bot_is_heard(on: None, value: dict[str, Any], content: str) -> None:
    found = CHANNEL.parse(value)

    assert isinstance(found, Inbound)
    assert found.content == content
    assert found.target == {"chat": GROUP, "message": 70, "user": 7}
    assert (found.sender, found.thread) == ("7", f"{GROUP}:0")


@pytest.mark.parametrize(
    "value",
    [
        in_group("RSI of SPX?"),
        in_group("/status", entities=mention("/status", "/status", "bot_command")),
        in_group("/status@OtherBot", entities=mention("/status@OtherBot", "/status@OtherBot", "bot_command")),
        in_group("@OtherBot hi", entities=mention("@OtherBot hi", "@OtherBot")),
        in_group("@DexBot in code", entities=mention("@DexBot in code", kind="code")),
        in_group("And now?", reply_to_message={"from": {"id": 5, "is_bot": False}}),
        in_group("And now?", reply_to_message={}),
        in_group("x", entities=[{"type": "mention", "offset": 5000, "length": 9}]),
    ],
)
def test_what_is_said_to_others_is_not(on: None, value: dict[str, Any]) -> None:
    assert CHANNEL.parse(value) == Ignored("group")


def test_without_its_name_the_bot_hears_replies_only(on: None, settings: Any) -> None:
    settings.TELEGRAM_BOT_USERNAME = ""

    assert CHANNEL.parse(asking("@DexBot hi")) == Ignored("group")
    assert CHANNEL.parse(in_group("@ hi", entities=mention("@ hi", "@"))) == Ignored("group")
    assert isinstance(CHANNEL.parse(in_group("hi", reply_to_message={"from": ME})), Inbound)


def test_a_topic_is_a_conversation_of_its_own(on: None) -> None:
    found = CHANNEL.parse(asking("@DexBot hi", message_thread_id=12, is_topic_message=True))
    reply = CHANNEL.parse(asking("@DexBot hi", message_thread_id=12))

    assert isinstance(found, Inbound)
    assert (found.thread, found.target["topic"]) == (f"{GROUP}:12", 12)
    assert isinstance(reply, Inbound)
    assert "topic" not in reply.target, "a chain of replies is no topic"


@pytest.mark.parametrize(
    ("words", "target", "aside"),
    [
        ("/status", {"chat": 7}, True),
        ("/usage", {"chat": 7}, True),
        ("/alert BTC below 5", {"chat": 7}, True),
        ("/approve abc", {"chat": 7}, True),
        ("/anything", {"chat": 7}, True),
        ("/stop", {"chat": GROUP, "message": 70, "user": 7}, False),
        ("/analyse SPX", {"chat": GROUP, "message": 70, "user": 7}, False),
    ],
)
def test_a_command_that_tells_of_its_author_is_answered_in_private(
    on: None, words: str, target: dict[str, Any], aside: bool
) -> None:
    name, _, rest = words.partition(" ")
    text = f"{name}@DexBot {rest}".strip()
    found = CHANNEL.parse(in_group(text, entities=mention(text, f"{name}@DexBot", "bot_command")))

    assert isinstance(found, Inbound)
    assert found.target == target
    assert found.aside == ({"chat": GROUP, "message": 70, "user": 7} if aside else None)


@pytest.mark.parametrize("gap", [" ", "\u00a0", "\u2003", ", \u00a0", "\n\u3000"])
@pytest.mark.parametrize("order", ["{name}{gap}{command}", "{command}{gap}{name}"])
def test_no_blank_hides_a_command_from_its_privacy(on: None, gap: str, order: str) -> None:
    text = order.format(name="@DexBot", gap=gap, command="/status")
    found = CHANNEL.parse(asking(text))

    assert isinstance(found, Inbound)
    assert (found.target == {"chat": 7}) == (commands.parse(found.content or "") is not None)
    reply = CHANNEL.parse(in_group(f"{gap}/status", reply_to_message={"from": ME}))
    assert isinstance(reply, Inbound)
    assert (reply.target == {"chat": 7}) == (commands.parse(reply.content or "") is not None)


class Driver(TelegramDriver):
    def post(self, value: dict[str, Any], *, number: int = 1, sender: int = 7) -> Post:
        value = value | {"update_id": number}
        value["message"] = value["message"] | {"from": {"id": sender, "is_bot": False}}
        return self.signed(json.dumps(value).encode())


@pytest.fixture
async def driver(settings: Any) -> AsyncIterator[Driver]:
    made = Driver()
    async with made.on(settings):
        settings.TELEGRAM_BOT_USERNAME = "DexBot"
        yield made


@pytest.fixture
async def chat(driver: Driver, licensed: dict[str, str], pool: None) -> AsyncIterator[Chat]:
    await link_account("demo-pro", "telegram", "7")
    await link_account("demo-free", "telegram", "8")
    async with (
        serving(get_default_application()) as host,
        httpx.AsyncClient(base_url=f"http://{host}", timeout=60) as http,
    ):
        yield Chat(driver, http, await new_sender())


def command(text: str) -> dict[str, Any]:
    return in_group(text, entities=mention(text, text.split(maxsplit=1)[0], "bot_command"))


def api(chat: Chat) -> BotApi:
    assert isinstance(chat.driver, Driver)
    return chat.driver.api


async def post(chat: Chat, value: dict[str, Any], *, number: int = 1, sender: int = 7) -> None:
    assert isinstance(chat.driver, Driver)
    assert (await chat.post(chat.driver.post(value, number=number, sender=sender))).status_code == 200


async def finish(worker: TestWorker, text: str) -> None:
    turn = await worker.claim()
    assert turn is not None
    await worker.order(turn, "say", text)
    await worker.order(turn, "finish")
    await worker.done(turn)


pytestmark = pytest.mark.django_db(transaction=True)


async def test_each_member_has_a_conversation_in_each_topic_whose_answers_quote(chat: Chat, worker: TestWorker) -> None:
    topic = {"message_thread_id": 12, "is_topic_message": True}
    await post(chat, asking("@DexBot one"))
    await post(chat, asking("@DexBot two", **topic), number=2)
    await post(chat, asking("@DexBot three"), number=3, sender=8)
    await post(chat, asking("@DexBot four"), number=4)

    found = await rows("SELECT user_id, conversation_id FROM turns ORDER BY id")
    assert [user for user, _ in found] == ["demo-pro", "demo-pro", "demo-free", "demo-pro"]
    assert len({conversation for _, conversation in found}) == 3
    assert found[0] == found[3]
    assert await rows("SELECT count(*) FROM conversations WHERE alias = 'main'") == [(0,)]

    for _ in range(3):
        await finish(worker, "Answer.")
    await chat.deliver()
    sent = [call.parameters for call in api(chat).calls if call.method == "sendMessage"]
    assert {each["chat_id"] for each in sent} == {str(GROUP)}
    assert all(json.loads(each["reply_parameters"])["message_id"] == 70 for each in sent)
    assert sorted(each.get("message_thread_id", "") for each in sent) == ["", "", "12"]


async def test_a_member_who_is_not_linked_is_told_so_once_and_is_no_user(chat: Chat) -> None:
    for number in (1, 2):
        await post(chat, asking("@DexBot hi"), number=number, sender=9)
    await post(chat, command("/link@DexBot"), number=3, sender=9)
    await chat.deliver()

    [(where, text)] = api(chat).shown
    assert where == GROUP
    assert "write to me in a private chat" in text
    assert "9" not in text
    assert await rows("SELECT count(*) FROM turns") == [(0,)]


async def test_status_is_told_in_private_and_the_group_learns_only_that(chat: Chat) -> None:
    await post(chat, command("/status@DexBot"))
    await chat.deliver()

    assert api(chat).texts(GROUP) == ["I answer that in our private chat."]
    [private] = api(chat).texts(7)
    assert "Workspace" in private


@pytest.mark.parametrize("how", ["/link@DexBot {code}", "/start@DexBot {code}"])
async def test_a_link_code_that_was_shown_to_a_group_links_nothing(chat: Chat, how: str) -> None:
    await rows("DELETE FROM user_channel_links WHERE channel_user_id = '8'")
    offer = await linking.offer_code("demo-enterprise", channel="telegram")
    for number, sender in enumerate((7, 8)):
        await post(chat, command(how.format(code=offer.issued.code)), number=number, sender=sender)
    await chat.deliver()

    assert "make a new one" in api(chat).texts(GROUP)[0]
    assert await requests_of("demo-enterprise") == []
    assert offer.issued.code not in str(api(chat).shown)


async def test_an_approval_is_asked_in_private_and_the_answer_goes_on_in_the_group(
    chat: Chat, worker: TestWorker
) -> None:
    await post(chat, asking("@DexBot deploy it"))
    turn = await worker.claim()
    assert turn is not None
    previewing = Previewing(worker)
    await previewing.say(turn, "The risk is low.")
    await previewing.look()
    await chat.deliver()
    await worker.order(turn, "ask yes")
    await worker.done(turn)
    await chat.deliver()

    assert [each for each in api(chat).texts(7) if "Deploy golden-cross" in each]
    assert not [each for each in api(chat).texts(GROUP) if "golden-cross" in each]
    (_, approve), _ = chat.driver.buttons()
    await chat.post(chat.driver.press(approve))
    await worker.claim()
    await previewing.say(turn, "It is deployed.")
    await previewing.look()
    await chat.deliver()
    await worker.order(turn, "finish")
    await worker.done(turn)
    await chat.deliver()

    shown = chat.driver.shown(str(GROUP))
    assert shown == [
        "The risk is low.",
        "I have asked you something in our private chat, and go on here once you have answered.",
        "It is deployed.",
    ]


@pytest.mark.parametrize("written", ["", "As far as I came."])
async def test_why_an_answer_failed_is_told_in_private(chat: Chat, worker: TestWorker, written: str) -> None:
    """It may be about a licence and its limits."""
    await post(chat, asking("@DexBot one"))
    turn = await worker.claim()
    assert turn is not None
    await worker.order(turn, "say", written)
    await worker.order(turn, "fail")
    await worker.done(turn)
    await chat.deliver()

    here = "I could not answer that. I tell you why in our private chat."
    assert api(chat).texts(GROUP) == [f"{written}\n\n{here}".strip()]
    assert api(chat).texts(7) == ["The model can't be reached."]


async def test_new_gives_the_group_another_conversation_and_leaves_the_main_one(chat: Chat) -> None:
    await chat.write("private", number=1)
    await post(chat, asking("@DexBot one"), number=2)
    for _ in range(2):
        await post(chat, command("/new@DexBot"), number=3)
    await post(chat, asking("@DexBot two"), number=4)
    await chat.write("private again", number=5)

    found = await rows("SELECT content, conversation_id FROM turns ORDER BY id")
    by_content = dict(found)
    assert by_content["private"] == by_content["private again"]
    assert len({by_content["private"], by_content["@DexBot one"[8:]], by_content["two"]}) == 3


async def test_a_group_that_became_a_supergroup_keeps_its_conversations_and_gets_its_answers(
    chat: Chat, worker: TestWorker
) -> None:
    """Source: Bot API, Message.migrate_to_chat_id, ResponseParameters.migrate_to_chat_id."""
    await post(chat, asking("@DexBot one"))
    turn = await worker.claim()
    assert turn is not None
    previewing = Previewing(worker)
    await previewing.say(turn, "One")
    await previewing.look()
    await chat.deliver()
    api(chat).moved[GROUP] = -2007
    for number in (2, 3):
        await post(chat, in_group(None, migrate_to_chat_id=-2007), number=number)
    await worker.order(turn, "say", " and a half.")
    await worker.order(turn, "finish")
    await worker.done(turn)
    await chat.deliver()
    moved = asking("@DexBot two")
    moved["message"]["chat"] = {"id": -2007, "type": "supergroup"}
    await post(chat, moved, number=4)

    assert api(chat).texts(-2007) == ["One and a half."]
    assert await rows("SELECT count(DISTINCT conversation_id), count(*) FROM turns") == [(1, 2)]
    assert await rows("SELECT count(*) FROM user_channel_links") == [(2,)]


async def test_a_group_that_the_bot_was_thrown_out_of_ends_nobodys_link(chat: Chat, worker: TestWorker) -> None:
    await post(chat, asking("@DexBot one"))
    await finish(worker, "Answer.")
    api(chat).script.append(refusal(403, "Forbidden: bot was kicked from the supergroup chat"))

    await chat.deliver()

    assert await rows("SELECT count(*) FROM user_channel_links") == [(2,)]
    assert await rows("SELECT state FROM deliveries") == [("failed",)]
