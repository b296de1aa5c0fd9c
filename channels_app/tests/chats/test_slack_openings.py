"""Chats that are opened in Slack. Source: docs.slack.dev, assistant_thread_started, app_home_opened, setSuggestedPrompts."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.tests.engine import TestWorker, say
from channels_app.channels import Inbound
from channels_app.channels.slack import CHANNEL
from channels_app.errors import BadUpdate
from channels_app.inbound import receive
from channels_app.tests.chats.contract import Previewing, link_account
from channels_app.tests.chats.sending import Sender, deliver, new_sender
from channels_app.tests.chats.tables import rows
from channels_app.tests.chats.test_typing import settle as until_given
from channels_app.tests.doubles.peer import Reply
from channels_app.tests.doubles.slack import SlackApi, SlackDriver, event, refused

TS = "1700000000.000100"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def slack(settings: Any) -> AsyncIterator[SlackApi]:
    driver = SlackDriver()
    async with driver.on(settings):
        yield driver.peer


@pytest.fixture
async def sender(users: dict[str, str], pool: None, slack: SlackApi) -> Sender:
    await link_account("demo-pro", "slack", "T1:U7")
    return await new_sender()


def thread_opened(event_id: str = "Ev1", *, user: str = "U7") -> dict[str, Any]:
    opened = {"user_id": user, "channel_id": f"D{user[1:]}", "thread_ts": TS, "context": {"channel_id": "C1"}}
    value = event(event_id=event_id)
    value["event"] = {"type": "assistant_thread_started", "assistant_thread": opened, "event_ts": TS}
    return value


def home_opened(event_id: str = "Ev1") -> dict[str, Any]:
    value = event(event_id=event_id)
    value["event"] = {"type": "app_home_opened", "user": "U7", "channel": "D7", "tab": "messages", "event_ts": TS}
    return value


async def come(value: dict[str, Any]) -> str:
    found = CHANNEL.parse(json.loads(json.dumps(value)))
    assert isinstance(found, Inbound)
    return await receive(CHANNEL, found)


async def test_who_opens_an_assistants_thread_is_greeted_there_with_what_to_ask(
    slack: SlackApi, sender: Sender
) -> None:
    for number in range(2):
        assert await come(thread_opened(f"Ev{number}")) == "greeted"
    await deliver(sender)

    [text] = slack.texts("D7")
    assert text.endswith("send !help.")
    assert slack.calls[0].body["thread_ts"] == TS
    [suggested] = slack.prompts
    assert (suggested["channel_id"], suggested["thread_ts"]) == ("D7", TS)
    assert {"title": "What have I used?", "message": "!usage"} in suggested["prompts"]
    assert await rows("SELECT count(*) FROM turns") == [(0,)]


async def test_who_opens_the_direct_messages_is_greeted_once(slack: SlackApi, sender: Sender) -> None:
    """Slack tells of it each time; an agent's prompts belong to no thread."""
    for number in range(3):
        await come(home_opened(f"Ev{number}"))
        await deliver(sender)

    assert len(slack.texts("D7")) == 1
    assert ["thread_ts" in asked for asked in slack.prompts] == [False]


async def test_who_has_talked_there_is_greeted_in_new_threads_alone(slack: SlackApi, sender: Sender) -> None:
    await say("RSI of SPX?", channel="slack")

    assert await come(home_opened()) == "known"
    assert await come(thread_opened("Ev2")) == "greeted"
    await deliver(sender)

    assert [call.body.get("thread_ts") for call in slack.calls if "text" in call.body] == [TS]


async def test_where_no_prompts_can_be_shown_the_greeting_stands_alone(slack: SlackApi, sender: Sender) -> None:
    """An app that is no assistant, or lacks the scope."""
    await come(home_opened())
    slack.answer, answer = (  # type: ignore[method-assign]
        lambda call: refused("missing_scope") if "Prompts" in call.path else answer(call),
        slack.answer,
    )
    await deliver(sender)

    assert len(slack.texts("D7")) == 1
    assert await rows("SELECT state FROM deliveries") == [("sent",)]


async def test_a_stranger_who_opens_a_thread_is_told_there_how_to_link(slack: SlackApi, sender: Sender) -> None:
    outcomes = [await come(thread_opened(f"Ev{number}", user="U9")) for number in range(2)]
    await deliver(sender)

    assert outcomes == ["hinted", "unlinked"]
    [text] = slack.texts("D9")
    assert "!link CODE" in text
    assert slack.prompts == []


async def test_a_stranger_who_opens_the_direct_messages_again_is_told_again(slack: SlackApi, sender: Sender) -> None:
    """And not silent for an hour after an opening of which nothing was said."""
    await rows("DELETE FROM user_channel_links")
    for number in range(2):
        assert await come(home_opened(f"Ev{number}")) == "hinted"
        await rows("UPDATE unlinked_senders SET hinted_at = hinted_at - interval '2 hours'")
    await deliver(sender)

    assert len(slack.texts("D7")) == 2


@given(value=st.recursive(st.none() | st.text(max_size=9), lambda inner: st.dictionaries(st.text(max_size=9), inner)))
def test_no_opening_is_more_than_bad(value: Any) -> None:
    for name in ("assistant_thread", "user", "channel", "tab"):
        for made in (thread_opened(), home_opened()):
            made["event"][name] = value
            try:
                CHANNEL.parse(made)
            except BadUpdate:
                continue


async def test_a_thread_is_listed_by_what_was_asked_first_in_it(
    slack: SlackApi, sender: Sender, worker: TestWorker, licensed: dict[str, str]
) -> None:
    for number, text in enumerate(("RSI of\nSPX?", "And of NDX?")):
        assert await come(event(text, event_id=f"Ev{number}", thread_ts=TS)) == "accepted"
        turn = await worker.claim()
        assert turn is not None
        previewing = Previewing(worker)
        await previewing.look()
        await until_given()
        await worker.order(turn, "finish")
        await worker.done(turn)

    assert slack.titles == [("D7", TS, "RSI of SPX?")] * 2
    assert slack.statuses == [("D7", TS)] * 2


async def test_a_thread_that_can_have_no_title_has_a_status(slack: SlackApi) -> None:
    """An app that is no assistant."""
    slack.script.extend([Reply(200, {"ok": True}), refused("channel_not_found")])

    await CHANNEL.typing({"team": "T1", "user": "U7", "channel": "D7", "thread": TS}, about="SPX")

    assert [call.path for call in slack.calls] == ["/assistant.threads.setStatus", "/assistant.threads.setTitle"]
