"""The Telegram channel. Source: the Bot API's pages; PLATFORMS: what its errors mean."""

import logging
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from channels_app import strict_json
from channels_app.channels import Ignored, Inbound, Update, channels
from channels_app.channels._telegram import api
from channels_app.channels.telegram import CHANNEL
from channels_app.errors import BadUpdate, DeliveryError
from channels_app.richtext import visible_text
from channels_app.tests.chats.bot_api import BAD_MARKUP, BLOCKED, CUT, HELD, TOKEN, BotApi, Reply, flood, refusal
from channels_app.tests.chats.tables import SECRET
from channels_app.text import utf16_units

PART = {"html": "<b>Hello</b>", "text": "**Hello**", "quote": True, "crowded": True}
TARGET = {"chat": 7, "message": 70}
MARKUP = [
    "word ",
    "\n\n",
    "```py\n",
    "\n```\n",
    "| a | b |\n|---|---|\n| c | d |\n",
    "😀" * 40,
    "**",
    "&amp;<",
    "x" * 900,
    "\n",
]


def update(**message: Any) -> dict[str, Any]:
    """A private text message."""
    base = {
        "message_id": 70,
        "date": 1,
        "chat": {"id": 7, "type": "private"},
        "from": {"id": 7, "is_bot": False},
        "text": "Hi",
    }
    return {"update_id": 9, "message": base | message}


def parse(value: Any) -> Update:
    return CHANNEL.parse(value)


@pytest.fixture
def on(settings: Any) -> None:
    settings.TELEGRAM_BOT_TOKEN, settings.TELEGRAM_WEBHOOK_SECRET = TOKEN, SECRET


def test_a_private_message_is_known_by_the_bot_and_the_update(on: None) -> None:
    assert parse(update()) == Inbound(external_id="123456:9", sender="7", content="Hi", target=TARGET)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"update_id": 1}, "empty"),
        ({"update_id": 1, "x" * 50: []}, "x" * 40),
        (update(**{"from": None}), "channel"),
    ],
)
def test_an_update_that_names_no_kind_or_nobody_is_ignored(on: None, value: Any, kind: str) -> None:
    assert parse(value) == Ignored(kind)


def pressed(**changes: Any) -> dict[str, Any]:
    """A button that was pressed in a private chat."""
    base = {"id": "42", "from": {"id": 7, "is_bot": False}, "data": "token"}
    message = {"message_id": 70, "date": 0, "chat": {"id": 7, "type": "private"}}
    return {"update_id": 9, "callback_query": base | {"message": message} | changes}


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"message": {"chat": {"id": -5, "type": "supergroup"}}}, "callback_query"),
        ({"message": None}, "callback_query"),
        ({"data": ""}, "callback_query"),
        ({"from": {"id": 7, "is_bot": True}}, "bot"),
    ],
)
def test_a_press_that_is_no_persons_in_a_private_chat_is_ignored(on: None, changes: Any, kind: str) -> None:
    assert parse(pressed(**changes)) == Ignored(kind)


@pytest.mark.parametrize("kind", ["photo", "voice", "document", "sticker"])
def test_a_message_without_text_is_known_as_such(on: None, kind: str) -> None:
    found = parse(update(text=None, **{kind: {}}))

    assert isinstance(found, Inbound)
    assert found.content is None


@pytest.mark.parametrize(
    "value",
    [
        [], "x", None, 1, {}, {"update_id": "9"}, {"update_id": True}, {"update_id": 1.5}, {"update_id": -1},
        {"update_id": 2**60}, update(chat="x"), update(chat={"id": "7", "type": "private"}), update(message_id=None),
        update(text=5), update(**{"from": {"id": "7"}}), {"update_id": 1, "message": []},
    ],
)  # fmt: skip
def test_what_is_no_update_is_refused(on: None, value: Any) -> None:
    with pytest.raises(BadUpdate):
        parse(value)


@pytest.mark.parametrize(
    ("token", "secret", "fault"),
    [
        (TOKEN, "", "together"),
        ("", SECRET, "together"),
        ("no token", SECRET, "@BotFather"),
        (TOKEN, "sécret", "letters"),
        (TOKEN, "x" * 257, "256"),
    ],
)
def test_a_half_configured_channel_is_off_and_says_why(settings: Any, token: str, secret: str, fault: str) -> None:
    """Source: DESIGN.md, settings: refuses to start, never an open door."""
    settings.TELEGRAM_BOT_TOKEN, settings.TELEGRAM_WEBHOOK_SECRET = token, secret

    assert fault in " ".join(CHANNEL.faults())
    assert token + secret not in " ".join(CHANNEL.faults())
    assert not CHANNEL.is_on()
    assert not CHANNEL.admits({"x-telegram-bot-api-secret-token": secret})


def test_a_channel_without_settings_is_off_without_a_fault(settings: Any) -> None:
    settings.TELEGRAM_BOT_TOKEN = settings.TELEGRAM_WEBHOOK_SECRET = ""

    assert CHANNEL.faults() == []
    assert not CHANNEL.is_on()
    assert not CHANNEL.admits({"x-telegram-bot-api-secret-token": ""})


def test_the_folder_is_the_list() -> None:
    assert channels()["telegram"] is CHANNEL


@hypothesis_settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(MARKUP), max_size=60), st.randoms(use_true_random=False))
def test_every_message_fits_whatever_the_answer(pieces: list[str], order: random.Random) -> None:
    parts = CHANNEL.compose("".join(pieces * order.randint(1, 6)))

    for part in parts:
        assert 0 < utf16_units(visible_text(part["html"]).strip()) <= 4096
        assert 0 < utf16_units(part["text"]) <= 4096
    assert [part["quote"] for part in parts] == [index == 0 for index in range(len(parts))]


def test_a_table_of_several_messages_is_a_table_in_each() -> None:
    table = "| day | close |\n|---|--:|\n" + "".join(f"| 2018-01-01 | {row} |\n" for row in range(500))

    parts = CHANNEL.compose(f"Words.\n\n{table}\nEnd.")

    assert len(parts) > 2
    assert all("<pre>day        | close\n" in part["html"] for part in parts)
    assert all(utf16_units(part["text"]) <= 4096 for part in parts)


def test_words_that_make_no_text_are_shown_as_they_are() -> None:
    assert [part["text"] for part in CHANNEL.compose("[x]: https://x.y")] == ["[x]: https://x.y"]


def test_a_blank_answer_is_no_message() -> None:
    assert CHANNEL.compose(" \n\n ") == []


async def test_a_message_is_sent_as_html_that_quotes_what_it_answers(bot_api: BotApi) -> None:
    receipt = await CHANNEL.send(PART, TARGET)

    call = bot_api.calls[0]
    assert receipt == "1001"
    assert (call.method, call.token) == ("sendMessage", TOKEN)
    assert call.parameters["chat_id"] == "7"
    assert (call.parameters["text"], call.parameters["parse_mode"]) == ("<b>Hello</b>", "HTML")
    assert strict_json.loads(call.parameters["reply_parameters"]) == {
        "message_id": 70,
        "allow_sending_without_reply": True,
    }
    assert strict_json.loads(call.parameters["link_preview_options"]) == {"is_disabled": True}


async def test_html_that_telegram_cant_read_is_sent_as_plain_text(bot_api: BotApi) -> None:
    bot_api.script.append(refusal(400, BAD_MARKUP))

    await CHANNEL.send(PART, TARGET)

    assert bot_api.texts(7) == ["**Hello**"]
    assert "parse_mode" not in bot_api.calls[1].parameters


@pytest.mark.parametrize(
    ("reply", "cause", "expected"),
    [
        (flood(17), "too_many_requests", {"retry_after_s": 17}),
        (refusal(403, BLOCKED), "blocked by the user", {"permanent": True}),
        (refusal(400, "Bad Request: chat not found"), "chat not found", {"permanent": True}),
        (refusal(400, "Bad Request: message is too long"), "too long", {"permanent": True}),
        (refusal(401, "Unauthorized"), "token_refused", {}),
        (refusal(404, "Not Found"), "token_refused", {}),
        (refusal(429, "Too Many Requests"), "platform_failed", {}),
        (refusal(500, "Internal Server Error"), "platform_failed", {}),
        (refusal(502, "Bad Gateway"), "platform_failed", {}),
        (Reply(502, b"<html>Bad Gateway</html>"), "no_answer", {"ambiguous": True}),
        (Reply(504, b""), "no_answer", {"ambiguous": True}),
        (Reply(200, b"<html>"), "no_answer", {"ambiguous": True}),
        (Reply(200, b"{}"), "odd_answer", {"ambiguous": True}),
        (Reply(200, b'{"ok": true, "result": {}}'), "odd_answer", {"ambiguous": True}),
        (CUT, "no_answer", {"ambiguous": True}),
    ],
)
async def test_each_failure_says_whether_to_try_again(
    bot_api: BotApi, reply: Reply, cause: str, expected: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Source: PLATFORMS, Telegram: 403 is permanent, 429 carries its wait; what may have been shown is not repeated."""
    bot_api.script.append(reply)

    with caplog.at_level(logging.INFO), pytest.raises(DeliveryError) as raised:
        await CHANNEL.send(PART, TARGET)

    error = raised.value
    assert cause in error.cause.lower()
    assert {"permanent": error.permanent, "ambiguous": error.ambiguous, "retry_after_s": error.retry_after_s} == {
        "permanent": False,
        "ambiguous": False,
        "retry_after_s": None,
    } | expected
    assert len(bot_api.calls) == 1
    assert TOKEN not in caplog.text + repr(error)
    assert error.__cause__ is None
    assert error.__suppress_context__


async def test_a_chat_that_has_moved_is_followed_once(bot_api: BotApi) -> None:
    """Source: Bot API, ResponseParameters.migrate_to_chat_id."""
    moved = [
        refusal(400, "Bad Request: group chat was upgraded", migrate_to_chat_id=chat) for chat in (-100, -200, -300)
    ]
    bot_api.script.append(moved[0])
    assert await CHANNEL.send(PART, TARGET) == "1001"
    bot_api.script.extend(moved)
    with pytest.raises(DeliveryError, match="chat_moved") as raised:
        await CHANNEL.send(PART, TARGET)

    assert raised.value.permanent
    assert [call.parameters["chat_id"] for call in bot_api.calls] == ["7", "-100", "7", "-100"]


async def test_a_server_that_never_answers_leaves_the_message_ambiguous(
    bot_api: BotApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "READ_S", 0.2)
    bot_api.script.append(HELD)

    with pytest.raises(DeliveryError) as raised:
        await CHANNEL.send(PART, TARGET)

    assert raised.value.ambiguous


async def test_a_server_that_cant_be_reached_has_shown_nothing(bot_api: BotApi, settings: Any) -> None:
    settings.TELEGRAM_API_BASE_URL = "http://127.0.0.1:1"

    with pytest.raises(DeliveryError) as raised:
        await CHANNEL.send(PART, TARGET)

    assert (raised.value.ambiguous, raised.value.permanent) == (False, False)
    assert TOKEN not in repr(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


async def test_a_client_that_could_not_be_made_is_made_anew(bot_api: BotApi, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        # httpx reads it when a client is made; this one it refuses.
        broken.setenv("HTTPS_PROXY", "gopher://127.0.0.1:1")
        for _ in range(2):
            with pytest.raises(DeliveryError, match="no_client") as raised:
                await CHANNEL.send(PART, TARGET)
            assert (raised.value.ambiguous, raised.value.permanent) == (False, False)

    assert await CHANNEL.send(PART, TARGET) == "1001"
