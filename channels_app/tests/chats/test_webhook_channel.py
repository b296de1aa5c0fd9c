"""The channel for platforms of one's own. Source: docs/channels.md."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.channel_names import place_of
from accounts.errors import NotIncluded
from accounts.features import require_channel
from accounts.licences import active_licence
from accounts.tiers import Features
from agents.conversations import create_conversation
from channels_app.asking_words import settled as settled_words
from channels_app.channels import Button, Inbound, Press, _http
from channels_app.channels.webhook import CHANNEL, LABEL, SECRET, URL, sign
from channels_app.deliveries.dispatcher import MAX_SENDS
from channels_app.deliveries.sweeping import sweep
from channels_app.errors import BadUpdate, ChatClosed, DeliveryError, NotEditable
from channels_app.inbound import receive
from channels_app.models import DeliveryState
from channels_app.tests.chats.bot_api import BotApi
from channels_app.tests.chats.contract import link_account
from channels_app.tests.chats.sending import let_all_be_due, new_sender, tell, tell_on
from channels_app.tests.chats.tables import rows
from channels_app.tests.chats.test_dispatcher import running, settled
from channels_app.tests.chats.test_slack import meaning
from channels_app.tests.doubles.callback import Callback, WebhookDriver
from channels_app.tests.doubles.peer import CUT, HELD, Reply

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
TARGET = {"account": "ada", "thread": "", "reply_to": "m1"}


@pytest.fixture
async def callback(settings: Any) -> AsyncIterator[Callback]:
    driver = WebhookDriver()
    async with driver.on(settings):
        yield driver.peer


def test_a_message_is_known_by_its_account_and_id() -> None:
    found = CHANNEL.parse({"id": "m1", "account": "ada", "text": "Hi", "thread": "t", "name": "Ada\u202e"})

    assert found == Inbound(
        external_id="ada:m1", sender="ada", content="Hi", target=TARGET | {"thread": "t"}, name="Ada", thread="ada:t"
    )
    assert CHANNEL.parse({"id": "p", "account": "ada", "press": "x"}) == Press(sender="ada", token="x", query="p")


NAMES = ("ada", "ada:work", "ada:work:x", "1", "/ada", "work", "work/1", "work:1", "ada/work", "x:1", ":1", "/1")
ACCOUNTS = [name for name in NAMES if CHANNEL.is_account(name)]


def test_no_two_accounts_have_a_message_or_a_thread_in_common() -> None:
    """A colon may stand in both; what an account without one said is known by the key that it always had."""
    posted = [(account, name) for account in ACCOUNTS for name in NAMES]
    found = [CHANNEL.parse({"id": name, "account": account, "text": "Hi", "thread": name}) for account, name in posted]
    made = [each for each in found if isinstance(each, Inbound)]

    assert len({each.external_id for each in made}) == len({each.thread for each in made}) == len(posted)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("users", "pool")
async def test_threads_of_an_account_with_a_colon_go_on_across_the_change_of_their_keys() -> None:
    for account in ("ada", "ada:work"):
        await link_account("demo-pro", "webhook", account)
    for thread in ("ada:t", "ada:work:t", "ada:x:y"):
        conversation = (await create_conversation("demo-pro", title=thread)).id
        await rows(
            "INSERT INTO chat_threads (channel, thread, user_id, conversation_id)"
            f" VALUES ('webhook', '{thread}', 'demo-pro', '{conversation}')"
        )

    await rows(import_module("channels_app.migrations.0011_webhook_threads").RENAME)

    found = await rows(
        "SELECT c.title, t.thread FROM chat_threads t JOIN conversations c ON c.id = t.conversation_id ORDER BY c.title"
    )
    message = CHANNEL.parse({"id": "1", "account": "ada:work", "text": "Hi", "thread": "t"})
    assert isinstance(message, Inbound)
    assert found == [("ada:t", "ada:t"), ("ada:work:t", message.thread), ("ada:x:y", "ada:x:y")]


async def test_what_parts_hold_for_other_platforms_is_not_posted(callback: Callback) -> None:
    part = CHANNEL.compose("Hi")[0] | {"crowded": True, "key": "k", "below": True}
    await CHANNEL.send(part, CHANNEL.target_of("ada"))

    [call] = callback.calls
    assert set(call.body) == {
        "type", "message", "account", "thread", "reply_to", "text", "buttons", "final", "below",
    }  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [{"id": ""}, {"id": 5}, {"id": "x" * 65}, {"account": "a b"}, {"account": "\u0430da\n"}, {"text": 5}, {"url": "http://x"},
     {"press": "x" * 65}],
)  # fmt: skip
def test_what_is_not_of_its_form_is_bad(fields: dict[str, Any]) -> None:
    with pytest.raises(BadUpdate):
        CHANNEL.parse({"id": "m1", "account": "ada", "text": "Hi"} | fields)


@given(value=json_values)
def test_nothing_is_more_than_bad(value: Any) -> None:
    for each in (value, {"id": value, "account": "ada"}, {"id": "m1", "account": "ada", "text": value}):
        try:
            CHANNEL.parse(each)
        except BadUpdate:
            continue


@pytest.mark.parametrize(
    ("secret", "url", "debug", "fault"),
    [
        ("x" * 32, "", False, "together"),
        ("", "https://x.example", False, "together"),
        ("x" * 31, "https://x.example", False, "at least 32"),
        ("x" * 32, "http://x.example", False, "https"),
        ("x" * 32, "https://user@x.example", False, "https"),
        ("x" * 32, "ftp://x.example", True, "https"),
        ("x" * 32, "https:///path", True, "https"),
        ("x" * 32, "http://localhost:1/a", True, ""),
        ("x" * 32, "https://x.example/a", False, ""),
        ("", "", False, ""),
    ],
)
def test_half_a_configuration_or_an_open_address_is_a_fault(
    settings: Any, secret: str, url: str, debug: bool, fault: str
) -> None:
    settings.DEBUG = debug
    setattr(settings, SECRET, secret)
    setattr(settings, URL, url)

    faults = CHANNEL.faults()

    assert fault in " ".join(faults) if fault else faults == []
    assert CHANNEL.is_on() is bool(secret and not fault)
    assert "x" * 31 not in " ".join(faults)


async def test_what_is_posted_is_what_the_page_says(callback: Callback) -> None:
    [part] = CHANNEL.ask("**Deploy?**", [Button("Approve", "t1")])
    ours = {"key": "k1", "crowded": True}
    receipt = await CHANNEL.send(part | ours, TARGET)
    await CHANNEL.edit((CHANNEL.preview("Begun") or {}) | ours, TARGET, message=receipt)
    await CHANNEL.acknowledge(Press(sender="ada", token="t1", query="p1"), "Approved.")

    said = [json.loads(call.raw) for call in callback.calls]
    assert said[0] == {
        "type": "message", "account": "ada", "thread": "", "reply_to": "m1", "message": receipt, "text": "**Deploy?**",
        "buttons": [{"label": "Approve", "token": "t1"}], "final": True,
    }  # fmt: skip
    assert (said[1]["type"], said[1]["message"], said[1]["final"], said[1]["buttons"]) == ("edit", receipt, False, [])
    assert said[1].keys() == said[0].keys()
    assert said[2].pop("message") not in {"", receipt}
    assert said[2] == {"type": "notice", "account": "ada", "thread": "", "reply_to": "p1", "text": "Approved."}


@pytest.mark.parametrize(
    ("reply", "kind", "means"),
    [
        (Reply(429, headers={"Retry-After": "9"}), DeliveryError, "later"),
        (Reply(429, headers={"Retry-After": "Thu, 26 Nov 2026 12:00:00 GMT"}), DeliveryError, "again"),
        (Reply(503), DeliveryError, "again"),
        (Reply(500, headers={"Retry-After": "9"}), DeliveryError, "later"),
        (Reply(410), ChatClosed, "permanent"),
        (Reply(404), DeliveryError, "permanent"),
        (Reply(302, headers={"Location": "http://127.0.0.1:9/"}), DeliveryError, "permanent"),
        (CUT, DeliveryError, "ambiguous"),
    ],
)
async def test_what_an_answer_means_for_a_message(
    callback: Callback, reply: Reply, kind: type[DeliveryError], means: str
) -> None:
    callback.script.append(reply)
    with pytest.raises(DeliveryError) as raised:
        await CHANNEL.send(CHANNEL.compose("Hi")[0], TARGET)

    assert (type(raised.value), meaning(raised.value)) == (kind, means)
    assert len(callback.calls) == 1


async def test_an_edit_of_a_message_that_is_gone_may_be_sent_anew(callback: Callback) -> None:
    with pytest.raises(NotEditable):
        await CHANNEL.edit(CHANNEL.compose("Hi")[0], TARGET, message="unknown")


def test_the_signature_is_the_one_of_the_page(settings: Any) -> None:
    """Written down once more, as an integrator would."""
    import hashlib
    import hmac

    setattr(settings, SECRET, "k" * 32)
    expected = hmac.new(b"k" * 32, b"1700000000" + b"." + b'{"a": 1}', hashlib.sha256).hexdigest()

    assert sign("1700000000", b'{"a": 1}') == f"v1={expected}"


async def test_a_callback_that_never_answers_is_tried_for_a_day_and_then_given_up(
    callback: Callback, pool: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source: docs/channels.md; a server that hangs is away like one that says so."""
    monkeypatch.setattr(_http, "READ_S", 0.1)
    sender = await new_sender()
    for text in ("first", "second"):
        await tell_on(CHANNEL, text, target=TARGET)
    for hours in (0, 23):
        await rows(f"UPDATE deliveries SET created_at = created_at - interval '{hours} hours'")
        await rows(f"UPDATE deliveries SET repeat_until = repeat_until - interval '{hours} hours'")
        await let_all_be_due()
        callback.script.append(HELD)
        outcome = await sender.send_next()
        assert outcome is not None
        assert (outcome.state, outcome.error) == (DeliveryState.PENDING, "no_answer (ReadTimeout)")
        assert await sender.claim() is None
    assert len({call.body["message"] for call in callback.calls}) == 1

    await rows("UPDATE deliveries SET created_at = created_at - interval '2 hours' WHERE body->>'text' = 'first'")
    await sweep()
    await let_all_be_due()
    await sender.send_next()

    assert await rows("SELECT state, error FROM deliveries ORDER BY id") == [
        ("failed", "Not sent within 24 hours. no_answer (ReadTimeout)"),
        ("sent", ""),
    ]
    assert callback.texts("ada") == ["first", "second"]


async def test_a_server_that_hangs_holds_up_its_own_accounts_alone(
    callback: Callback, pool: None, bot_api: BotApi
) -> None:
    """Though as many of its accounts wait as a worker sends to at once."""
    callback.script.extend([HELD] * MAX_SENDS)
    async with running():
        for number in range(MAX_SENDS + 1):
            await tell_on(CHANNEL, "Hi", target=CHANNEL.target_of(f"ada{number}"))
        await callback.until(lambda: len(callback.calls) == MAX_SENDS)
        await tell("Hello")

        await bot_api.until(lambda api: api.texts(7) == ["Hello"])
        assert len(callback.calls) == MAX_SENDS
        callback.released.set()
        await settled(MAX_SENDS + 2)

    assert len(callback.shown) == MAX_SENDS + 1


@pytest.mark.parametrize(
    "label", ["Acme Chat", "B&O's 2nd desk – no", "x" * 41, "*bold*", "a\nb", " a", "<b>", "_a", "Börse"]
)
def test_an_operator_names_the_channel_in_short_and_plain_words(settings: Any, label: str) -> None:
    settings.DEBUG = True
    setattr(settings, SECRET, "x" * 32)
    setattr(settings, URL, "https://x.example")
    assert (CHANNEL.label, CHANNEL.is_on()) == ("Webhook", True)

    setattr(settings, LABEL, label)

    good = label in {"Acme Chat", "Börse"}
    assert CHANNEL.is_on() is good
    assert any(LABEL in fault for fault in CHANNEL.faults()) is not good


async def test_its_people_read_that_name_wherever_the_channel_is_named(
    callback: Callback, licensed: dict[str, str], pool: None, settings: Any
) -> None:
    setattr(settings, LABEL, "Acme Chat")
    licence = await active_licence("demo-pro")

    assert place_of("webhook") == "in Acme Chat"
    with pytest.raises(NotIncluded, match="does not include Acme Chat as a channel"):
        require_channel(replace(licence, features=Features(channels=("web",))), "webhook")
    await receive(CHANNEL, inbound_of("ada", "Hi"))
    assert (
        "this Acme Chat account is linked to no Dexorder user"
        in (await rows("SELECT body->>'text' FROM deliveries"))[0][0]
    )
    assert "Approved in Acme Chat" in settled_words(
        {"decision": "approved", "by_channel": "webhook", "title": "Deploy?"}
    )


def inbound_of(account: str, text: str) -> Inbound:
    found = CHANNEL.parse({"id": "m1", "account": account, "text": text})
    assert isinstance(found, Inbound)
    return found
