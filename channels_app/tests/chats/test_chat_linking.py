"""From a code to a link and back, through Telegram's webhook and a Bot API of our own. Source: the Linking paragraph."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.link_codes import issue_code, normalised
from accounts.link_requests import requests_of
from accounts.link_tries import TRIES_EACH
from accounts.links import links_of
from channels_app import chat_linking, linking, warmup
from channels_app.chat_linking import Ask
from channels_app.deliveries.intake import take_outbox
from channels_app.names import shown_name
from channels_app.tests.chats.bot_api import BotApi
from channels_app.tests.chats.sending import Sender, answer, let_all_be_due, new_sender, states
from channels_app.tests.chats.tables import link, rows
from channels_app.tests.chats.test_telegram import update
from channels_app.tests.chats.test_webhooks import HEADERS
from channels_app.tests.live import serving
from channels_app.webhooks import WebhookGuard

ADA = {"id": 7, "is_bot": False, "first_name": "Ada", "last_name": "Lovelace", "username": "ada"}


class Chat:
    """A person's private chat with the bot: what they write is posted to the webhook, what they see has been sent."""

    def __init__(self, http: httpx.AsyncClient, bot_api: BotApi, sender: Sender) -> None:
        self._http, self._bot_api, self._sender = http, bot_api, sender
        self._updates = 100

    async def write(self, text: str, *, chat: int = 7, **sender: Any) -> None:
        """Post a message."""
        self._updates += 1
        message = update(text=text, chat={"id": chat, "type": "private"}, **{"from": ADA | {"id": chat} | sender}) | {
            "update_id": self._updates
        }
        response = await self._http.post("/webhook/telegram", content=json.dumps(message))
        assert response.status_code == 200, response.text

    async def read(self, *, chat: int = 7) -> list[str]:
        """What has been said in the chat since it was read last."""
        seen = len(self._bot_api.shown)
        while await self._sender.send_next():
            await let_all_be_due()
        return [text for shown_in, text in self._bot_api.shown[seen:] if shown_in == chat]

    async def hear(self, text: str, *, chat: int = 7) -> str:
        """Write, and read the one answer."""
        await self.write(text, chat=chat)
        (said,) = await self.read(chat=chat)
        return said


@pytest.fixture
async def chat(bot_api: BotApi, licensed: dict[str, str], pool: None, settings: Any) -> AsyncIterator[Chat]:
    from django.core.asgi import get_asgi_application

    settings.ALLOWED_ORIGINS, settings.TELEGRAM_BOT_USERNAME = ["https://gw.example"], "@dexorder_bot"
    async with (
        serving(WebhookGuard(get_asgi_application())) as host,
        httpx.AsyncClient(base_url=f"http://{host}", headers=HEADERS, timeout=60) as http,
    ):
        yield Chat(http, bot_api, await new_sender())


async def pending(user: str = "demo-pro") -> str:
    return next(each.id for each in await requests_of(user) if each.state == "pending")


async def turns() -> int:
    return int((await rows("SELECT count(*) FROM turns"))[0][0])


@pytest.mark.parametrize("how", ["deep link", "code", "code alone"])
async def test_a_chat_is_linked_once_its_user_has_confirmed_and_not_before(chat: Chat, how: str) -> None:
    offer = await linking.offer_code("demo-pro", channel="telegram")
    deep_link = f"https://t.me/dexorder_bot?start={offer.issued.token}"
    assert offer.deep_link == deep_link
    code = offer.issued.code.lower()
    typed = {
        "deep link": f"/start {offer.issued.token}",
        "code": f"/LINK@dexorder_bot {code}",
        "code alone": f"{code[:4]} {code[4:]}",
    }[how]

    said = await chat.hear(typed)
    assert "confirm on your account page (https://gw.example/account/)" in said
    await chat.write("RSI of SPX?")
    assert await turns() == 0
    assert ["I don't know you yet" in text for text in await chat.read()] == [True]

    (request,) = await requests_of("demo-pro")
    assert (request.account, request.name) == ("7", "Ada Lovelace (@ada)")
    await linking.confirm(request.id, user_id="demo-pro")
    assert ["Linked." in text for text in await chat.read()] == [True]

    await chat.write("RSI of SPX?")
    assert await rows("SELECT user_id, content FROM turns") == [("demo-pro", "RSI of SPX?")]


async def test_linking_begins_the_workspace_before_the_first_word(chat: Chat, caplog: pytest.LogCaptureFixture) -> None:
    """Source: DESIGN.md, Workspaces. Here a server outside the allowlist, so that each beginning is seen to fail."""
    await rows("UPDATE user_licenses SET mcp_server_url = 'http://127.0.0.1:9/elsewhere'")
    begun = []
    with caplog.at_level(logging.WARNING):
        offer = await linking.offer_code("demo-pro", channel="telegram")
        await warmup.finished()
        begun.append(caplog.text.count("workspace_not_started"))
        await chat.write(f"/link {offer.issued.code}")
        await linking.confirm(await pending(), user_id="demo-pro")
        await warmup.finished()
        begun.append(caplog.text.count("workspace_not_started"))

    assert begun == [1, 2]


async def test_two_hundred_posts_with_one_code_make_one_link(chat: Chat) -> None:
    issued = await issue_code("demo-pro", channel="telegram")

    await asyncio.gather(*[chat.write(f"/link {issued.code}", chat=1000 + number) for number in range(200)])
    await asyncio.gather(*[linking.confirm(await pending(), user_id="demo-pro") for _ in range(5)])

    assert await rows("SELECT count(*) FROM user_channel_links") == [(1,)]
    assert await rows("SELECT count(*) FROM link_codes") == [(0,)]


async def test_a_webhook_that_is_sent_again_says_nothing_new(chat: Chat) -> None:
    """Source: PLATFORMS, Telegram: any non-2xx is retried, and so is an answer that was lost."""
    issued = await issue_code("demo-pro", channel="telegram")
    await chat.write(f"/link {issued.code}")
    chat._updates -= 1
    await chat.write(f"/link {issued.code}")

    assert ["Nearly done" in text for text in await chat.read()] == [True]


async def test_wrong_used_and_old_codes_are_answered_alike_and_five_tries_are_all(chat: Chat) -> None:
    used, old = await issue_code("demo-pro", channel="telegram"), await issue_code("demo-free", channel="telegram")
    await chat.hear(f"/link {used.code}", chat=8)
    await rows("UPDATE link_codes SET expires_at = clock_timestamp() WHERE user_id = 'demo-free'")

    typed = ["/link ABCD2345", f"/link {used.code}", f"/start {used.token}", f"/link {old.code}", "/link me <b>up</b>"]
    assert len(typed) == TRIES_EACH
    assert len({await chat.hear(text) for text in typed}) == 1

    fresh = await issue_code("demo-free", channel="telegram")
    assert "Too many tries" in await chat.hear(f"/link {fresh.code}")
    await chat.write(f"/link {fresh.code}")
    assert await chat.read() == []
    assert [each.state for each in await requests_of("demo-free")] == ["open"]


async def test_a_stranger_who_sends_codes_alone_has_the_same_few_tries(chat: Chat) -> None:
    assert "I don't know you yet" in await chat.hear("Hello")

    for _ in range(TRIES_EACH):
        assert "That code can't be used" in await chat.hear("abcd 2345")
    assert "Too many tries" in await chat.hear("ABCD2345")
    await chat.write("/link ABCD2345")
    assert await chat.read() == []


async def test_what_looks_like_a_code_is_a_turn_where_the_account_is_linked(chat: Chat) -> None:
    await link("demo-pro", 7)
    await chat.write("ABCD 2345")

    assert await rows("SELECT content FROM turns") == [("ABCD 2345",)]


async def test_an_account_of_another_user_is_refused_and_both_are_told_without_names(chat: Chat) -> None:
    await link("demo-free", 7)
    issued = await issue_code("demo-pro", channel="telegram")

    said = await chat.hear(f"/link {issued.code}")

    assert "speaks for another Dexorder user" in said
    assert "demo-pro" not in said
    (request,) = await requests_of("demo-pro")
    assert (request.state, request.account) == ("refused", "")
    assert [each.account for each in await links_of("demo-free")] == ["7"]
    assert await turns() == 0


async def test_linking_again_to_the_same_user_is_no_error(chat: Chat) -> None:
    await link("demo-pro", 7)
    issued = await issue_code("demo-pro", channel="telegram")

    assert "already" in await chat.hear(f"/start {issued.token}")
    assert len(await links_of("demo-pro")) == 1


async def test_unlinking_in_the_chat_takes_effect_at_once_and_drops_what_waits(chat: Chat) -> None:
    await link("demo-pro", 7)
    await answer("For demo-pro only.")
    await take_outbox()

    said = await chat.hear("/unlink")
    assert said.startswith("Unlinked.")
    assert await links_of("demo-pro") == []

    await answer("Written after the link's end.")
    await take_outbox()
    await chat.write("Who am I?")
    assert await turns() == 0
    assert ["I don't know you yet" in text for text in await chat.read()] == [True]


async def test_unlinking_on_the_page_drops_what_has_not_been_sent(chat: Chat) -> None:
    await link("demo-pro", 7)
    await answer("One.")
    await take_outbox()
    (found,) = await links_of("demo-pro")
    await linking.end_link(found.id, user_id="demo-pro")

    assert await chat.read() == []
    assert await states() == ["failed"]
    await chat.write("RSI of SPX?")
    assert await turns() == 0


async def test_a_chat_that_was_linked_is_told_how_to_link_as_soon_as_it_is_not(chat: Chat) -> None:
    """The hint of a stranger comes once an hour, but not so that somebody who was unlinked hears nothing."""
    assert "I don't know you yet" in await chat.hear("Hello")
    issued = await issue_code("demo-pro", channel="telegram")
    await chat.hear(f"/link {issued.code}")
    found = await linking.confirm(await pending(), user_id="demo-pro")
    await chat.read()
    await linking.end_link(found.id, user_id="demo-pro")

    assert "I don't know you yet" in await chat.hear("Hello again")


async def test_an_account_takes_back_what_it_did_not_ask_for(chat: Chat) -> None:
    issued = await issue_code("demo-pro", channel="telegram")
    await chat.hear(f"/start {issued.token}")

    assert "Withdrawn" in await chat.hear("/unlink")
    assert await requests_of("demo-pro") == []


async def test_a_stranger_who_asks_is_told_how_to_link_beside_the_hourly_hint_but_not_for_ever(chat: Chat) -> None:
    assert "https://gw.example/account/" in await chat.hear("Hello")
    await chat.write("Hello?")
    assert await chat.read() == []

    for text in ("/link", "/unlink", "/Link@dexorder_bot", " /link "):
        assert "link" in await chat.hear(text)
    await chat.hear("/link")
    assert "I am quiet for 10 minutes" in await chat.hear("/link")
    await chat.write("/link")
    assert await chat.read() == []


@pytest.mark.parametrize("text", ["/start", "/help", "/start from-the-newsletter", "/Start@dexorder_bot"])
async def test_a_stranger_who_presses_start_is_answered_whatever_was_said_before(chat: Chat, text: str) -> None:
    """A chat that was deleted and is opened again shows nothing but the button."""
    await chat.hear("Hello")

    for _ in range(2):
        assert "https://gw.example/account/" in await chat.hear(text)
    assert await turns() == 0


async def test_a_stranger_who_asked_often_is_answered_again_later_and_a_code_is_good_meanwhile(chat: Chat) -> None:
    for _ in range(TRIES_EACH + 1):
        await chat.hear("/start")
    await chat.write("/start")
    assert await chat.read() == []
    issued = await issue_code("demo-pro", channel="telegram")
    assert "Nearly done" in await chat.hear(f"/start {issued.token}")

    await rows("UPDATE link_tries SET since = since - interval '11 minutes'")
    assert "I don't know you yet" in await chat.hear("/start")


async def test_a_linked_chat_that_asks_is_told_whom_it_speaks_for(chat: Chat) -> None:
    await link("demo-pro", 7)

    assert "demo-pro" in await chat.hear("/link")
    assert await turns() == 0


async def test_a_greeting_with_somebody_elses_payload_stays_a_greeting(chat: Chat) -> None:
    await link("demo-pro", 7)
    await chat.write("/start from-the-newsletter")

    assert await turns() == 1


async def test_no_code_is_logged_or_kept(chat: Chat, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        issued = await issue_code("demo-pro", channel="telegram")
        await chat.hear(f"/link {issued.code}")
        await chat.hear(f"/start {issued.token}", chat=8)

    kept = ""
    for table in ("link_codes", "link_tries", "audit", "deliveries", "turns", "outbox"):
        kept += str(await rows(f"SELECT * FROM {table}"))
    for secret in (issued.code, issued.token):
        assert secret not in kept
        assert secret not in caplog.text


@pytest.mark.parametrize(
    ("text", "ask"),
    [
        ("/link ABCD 2345", Ask("redeem", "ABCD 2345")),
        ("/link\nABCD2345", Ask("redeem", "ABCD2345")),
        ("/link", Ask("link")),
        ("/unlink now", Ask("unlink")),
        ("/start", None),
        ("/start hello", None),
        ("/linkABCD2345", None),
        ("//link", None),
        ("link ABCD2345", None),
        ("ABCD2345", None),
        ("/", None),
        ("", None),
        (None, None),
    ],
)
def test_what_asks_for_linking(text: str | None, ask: Ask | None) -> None:
    assert chat_linking.parse(text) == ask


@pytest.mark.parametrize("text", ["c3ms 5vyg", "C3MS5VYG", " c3ms-5vyg\n", "`c3ms 5vyg`", "C3MS\u00a05VYG"])
def test_a_stranger_may_send_the_code_alone(text: str) -> None:
    ask = chat_linking.parse_of_stranger(text)

    assert ask is not None
    assert (ask.kind, normalised(ask.code)) == ("redeem", "C3MS5VYG")


@pytest.mark.parametrize(
    "text", ["Hey there", "Hello", "/status", "start", "c3ms 5vyg please", "A_token-of-22-letters-", None]
)
def test_other_words_of_a_stranger_are_no_code(text: str | None) -> None:
    assert chat_linking.parse_of_stranger(text) is None


@given(st.text())
def test_any_text_asks_for_something_or_nothing(text: str) -> None:
    for said in (text, f"/link {text}", f"/start {text}", f"/{text}"):
        found = chat_linking.parse(said)
        assert found is None or found.kind in {"redeem", "link", "unlink"}


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("Ada", "Ada"),
        ("  Ada \n Lovelace\t", "Ada Lovelace"),
        ("evil\u202egpj\u2066", "evilgpj"),
        ("a\u200bb\x00c\x1b[31m", "abc[31m"),
        ("<b>&", "<b>&"),
        ("\u3164", "\u3164"),
        ("x" * 200, "x" * 64),
        ("", ""),
    ],
)
def test_a_name_is_shown_in_one_line_without_tricks(given_name: str, shown: str) -> None:
    """Source: Unicode's bidirectional controls, which turn round what is read after them."""
    assert shown_name(given_name) == shown
