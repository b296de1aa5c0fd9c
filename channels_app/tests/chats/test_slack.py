"""The Slack channel. Source: docs.slack.dev; PLATFORMS, Slack: what its errors and limits mean."""

from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ParseError

from channels_app.api.parsers import FlatFormParser
from channels_app.channels import Button, Inbound
from channels_app.channels._slack import api
from channels_app.channels.slack import CHANNEL
from channels_app.errors import ChatClosed, DeliveryError, NotEditable
from channels_app.tests.doubles.peer import CUT, CUT_WHEN_DONE, Reply
from channels_app.tests.doubles.slack import BOT, TOKEN, SlackApi, SlackDriver, event, refused

DIRECT = {"team": "T1", "user": "U7", "channel": "D7", "thread": ""}
THREAD = DIRECT | {"channel": "C1", "thread": "1700000000.000100"}


@pytest.fixture
async def slack(settings: Any) -> AsyncIterator[SlackApi]:
    driver = SlackDriver()
    async with driver.on(settings):
        yield driver.peer


def inbound(**fields: Any) -> Inbound:
    found = CHANNEL.parse(event(**fields))
    assert isinstance(found, Inbound)
    return found


def test_a_direct_message_is_the_main_conversations() -> None:
    assert inbound() == Inbound(external_id="T1:Ev1", sender="T1:U7", content="Hi", target=DIRECT)


def test_a_thread_is_a_conversation_and_so_is_a_mention_in_a_channel() -> None:
    in_thread = inbound(thread_ts="1600000000.000100")
    mention = inbound(type="app_mention", channel="C1", text=f"<@{BOT}> RSI of SPX?")

    assert in_thread.thread == "D7:1600000000.000100"
    assert in_thread.target == DIRECT | {"thread": "1600000000.000100"}
    assert (mention.content, mention.thread, mention.target) == ("RSI of SPX?", "C1:1700000000.000100", THREAD)


def test_what_is_said_in_a_channel_is_public_and_what_is_private_goes_to_direct_messages() -> None:
    command = inbound(type="app_mention", channel="C1", text=f"<@{BOT}> !usage")

    assert CHANNEL.private(THREAD) == CHANNEL.target_of("T1:U7") == DIRECT | {"channel": "U7"}
    assert (command.content, command.target) == ("/usage", DIRECT | {"channel": "U7"})
    assert command.thread == "C1:1700000000.000100"


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("a &lt;b&gt; &amp;amp;", "a <b> &amp;"),
        ("<https://x.example/a|the page>", "the page (https://x.example/a)"),
        ("<https://x.example|x.example>", "https://x.example"),
        ("ask <@U9> in <#C1|general>", "ask @U9 in #general"),
        ("!stop", "/stop"),
        ("!Model gpt", "/Model gpt"),
        ("!important", "!important"),
        ("  ", None),
    ],
)
def test_a_text_is_what_its_author_saw(text: str, content: str | None) -> None:
    assert inbound(text=text).content == content


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("stop", "/stop"),
        ("/usage", "/usage"),
        ("RSI of SPX?", "RSI of SPX?"),
        ("", "/help"),
        ("link AB12", "/link AB12"),
    ],
)
def test_the_slash_command_is_answered_in_direct_messages(text: str, content: str) -> None:
    form = {"command": "/dexorder", "text": text, "team_id": "T1", "user_id": "U7", "user_name": "ada",
            "channel_id": "C1", "trigger_id": "1.2.3", "token": "x"}  # fmt: skip

    found, direct = CHANNEL.parse(form), CHANNEL.parse(form | {"channel_id": "D7"})

    assert isinstance(found, Inbound)
    assert isinstance(direct, Inbound)
    assert (found.content, found.sender, found.external_id, found.name) == (content, "T1:U7", "T1:1.2.3", "ada")
    assert CHANNEL.chat_of(found.target) == CHANNEL.chat_of(direct.target) == "T1:U7"
    assert (CHANNEL.reply(found, "accepted") or {})["response_type"] == "ephemeral"
    assert CHANNEL.reply(direct, "accepted") is None


@pytest.mark.parametrize(
    "body",
    [b"payload", b"a=1&a=2", b"payload=%ff", b"\xff=1", b"a=%00", b"&".join(b"%d=1" % number for number in range(101))],
)
def test_a_form_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(ParseError):
        FlatFormParser().parse(BytesIO(body))
    assert FlatFormParser().parse(BytesIO(b"text=&command=%2Fdexorder+a%C3%A4")) == {
        "text": "",
        "command": "/dexorder a\u00e4",
    }


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("**bold** and *it* and ~~no~~", "*bold* and _it_ and ~no~"),
        ("a & b <c> <!channel> <@U1>", "a &amp; b &lt;c&gt; &lt;!channel&gt; &lt;@U1&gt;"),
        ("[page](https://x.example/a|b?c=1&d)", "<https://x.example/a%7Cb?c=1&amp;d|page>"),
        ("[x](javascript:alert(1))", "[x](javascript:alert(1))"),
        ("`a<b`", "`a&lt;b`"),
        ("```py\nx = '<'\n```", "```\nx = '&lt;'\n```"),
        ("> one\n> two", "> one\n> two"),
        ("- a\n- b", "• a\n• b"),
        ("![alt](https://x.example/a.png)", "alt"),
    ],
)
def test_markdown_is_slacks(markdown: str, text: str) -> None:
    assert [part["text"] for part in CHANNEL.compose(markdown)] == [text]


def test_commands_are_written_as_slacks_client_lets_them_be_typed() -> None:
    written = "/new – begin, or `/approve AB12`, not /usr/bin, a/new, https://x.example/status or /newer"

    assert CHANNEL.typed("/link AB12CD34") == "!link AB12CD34"
    assert CHANNEL.compose(written)[0]["text"] == (
        "!new – begin, or `!approve AB12`, not /usr/bin, a/new, https://x.example/status or /newer"
    )
    assert inbound(text=CHANNEL.typed("/link AB12")).content == "/link AB12"


@given(text=st.text(alphabet="ab *_~`<>&|[]()\n#-1.!@", max_size=300))
def test_no_text_of_a_model_speaks_to_a_whole_channel(text: str) -> None:
    """Source: "Formatting message text": <!channel>, <@U1> and <!subteam^S1> notify."""
    for part in CHANNEL.compose(text):
        assert not any(f"<{sign}" in part["text"] for sign in "!@#")
    preview = CHANNEL.preview(f"{text}<!channel>")
    assert preview is not None
    assert "<!channel>" not in preview["stream"] + preview["text"]


ERRORS: list[tuple[Reply, type[DeliveryError], str]] = [
    (Reply(429, {"ok": False}, {"Retry-After": "30"}), DeliveryError, "later"),
    (Reply(429, b"slow down", {"Content-Type": "text/html"}), DeliveryError, "later"),
    (refused("ratelimited"), DeliveryError, "later"),
    (refused("channel_not_found"), ChatClosed, "permanent"),
    (refused("is_archived"), ChatClosed, "permanent"),
    (refused("user_disabled"), ChatClosed, "permanent"),
    (refused("invalid_auth"), DeliveryError, "again"),
    (refused("token_revoked"), DeliveryError, "again"),
    (refused("missing_scope"), api.NoScope, "again"),
    (refused("service_unavailable"), DeliveryError, "again"),
    (refused("fatal_error"), DeliveryError, "ambiguous"),
    (refused("internal_error"), DeliveryError, "ambiguous"),
    (refused("msg_too_long"), api.SlackRefused, "permanent"),
    (refused("invalid_blocks"), api.SlackRefused, "permanent"),
    (refused("message_not_found"), NotEditable, "permanent"),
    (refused("edit_window_closed"), NotEditable, "permanent"),
    (Reply(500, b"<html>"), DeliveryError, "ambiguous"),
    (Reply(502, b"<html>"), DeliveryError, "ambiguous"),
    (Reply(503, b"<html>"), DeliveryError, "again"),
    (Reply(503, {"ok": False, "error": "fatal_error"}), DeliveryError, "ambiguous"),
    (Reply(200, []), DeliveryError, "ambiguous"),
    (Reply(200, {"ok": "yes"}), DeliveryError, "ambiguous"),
    (CUT, DeliveryError, "ambiguous"),
]


@pytest.mark.parametrize(("reply", "kind", "means"), ERRORS)
async def test_what_an_error_means_for_a_message(
    slack: SlackApi, reply: Reply, kind: type[DeliveryError], means: str
) -> None:
    slack.script.append(reply)

    with pytest.raises(DeliveryError) as raised:
        await CHANNEL.send({"text": "Hi"}, DIRECT)

    error = raised.value
    assert type(error) is kind
    assert meaning(error) == means
    assert TOKEN not in error.cause


def meaning(error: DeliveryError) -> str:
    if error.permanent:
        return "permanent"
    if error.ambiguous:
        return "ambiguous"
    return "later" if error.retry_after_s else "again"


async def test_without_a_connection_a_message_is_tried_again(slack: SlackApi, settings: Any) -> None:
    settings.SLACK_API_BASE_URL = "http://127.0.0.1:1"

    with pytest.raises(DeliveryError) as raised:
        await CHANNEL.send({"text": "Hi"}, DIRECT)

    assert meaning(raised.value) == "again"


async def test_one_message_a_second_is_what_a_channel_takes(slack: SlackApi) -> None:
    """Source: PLATFORMS: the double enforces it, and the channel rests that long."""
    slack.per_second = True
    await CHANNEL.send({"text": "one"}, DIRECT)
    with pytest.raises(DeliveryError) as raised:
        await CHANNEL.send({"text": "two"}, DIRECT)

    assert raised.value.retry_after_s == 1.0
    assert CHANNEL.pace_s(DIRECT) == 1.0


def preview(text: str) -> dict[str, Any]:
    part = CHANNEL.preview(text)
    assert part is not None
    return part


async def test_an_answer_in_a_thread_is_a_stream_whose_end_is_the_message(slack: SlackApi) -> None:
    receipt = await CHANNEL.send(preview("One."), THREAD)
    for text in ("One. **Two", "One. **Two** Three."):
        receipt = await CHANNEL.edit(preview(text), THREAD, message=receipt)
        assert slack.texts("C1") == [text]
    receipt = await CHANNEL.edit(CHANNEL.compose("One. **Two** Three. End")[0], THREAD, message=receipt)

    assert slack.texts("C1") == ["One. *Two* Three. End"]
    assert [call.path for call in slack.calls] == [
        "/chat.startStream", "/chat.appendStream", "/chat.appendStream", "/chat.stopStream", "/chat.update",
    ]  # fmt: skip
    assert await CHANNEL.edit({"text": "again"}, THREAD, message=receipt) == receipt


async def test_a_stream_that_slack_has_closed_is_updated_as_a_message(slack: SlackApi) -> None:
    """Source: PLATFORMS: closed after about five minutes, message_not_in_streaming_state."""
    receipt = await CHANNEL.send(preview("One."), THREAD)
    next(iter(slack.shown.values())).streaming = False

    receipt = await CHANNEL.edit(preview("One. Two."), THREAD, message=receipt)
    receipt = await CHANNEL.edit(preview("One. Two. Three."), THREAD, message=receipt)

    assert slack.texts("C1") == ["One. Two. Three."]
    assert [call.path for call in slack.calls][-1] == "/chat.update"


async def test_where_there_are_no_streams_an_answer_is_a_message_that_is_updated(slack: SlackApi) -> None:
    slack.streams = False
    receipt = await CHANNEL.send(preview("One."), THREAD)
    await CHANNEL.edit(preview("One. Two."), THREAD, message=receipt)

    assert slack.texts("C1") == ["One. Two."]
    assert slack.calls[1].body["thread_ts"] == THREAD["thread"]


async def test_an_append_that_may_have_arrived_is_not_made_twice(slack: SlackApi) -> None:
    receipt = await CHANNEL.send(preview("One."), THREAD)
    slack.script.append(CUT_WHEN_DONE)

    await CHANNEL.edit(preview("One. Two."), THREAD, message=receipt)

    assert slack.texts("C1") == ["One. Two."]


async def test_a_text_that_was_replaced_is_no_longer_appended_to(slack: SlackApi) -> None:
    """After a takeover a turn's text begins anew."""
    receipt = await CHANNEL.send(preview("One. Two."), THREAD)

    await CHANNEL.edit(preview("Another beginning."), THREAD, message=receipt)

    assert slack.texts("C1") == ["Another beginning."]


async def test_buttons_are_blocks_and_an_update_takes_them_away(slack: SlackApi) -> None:
    buttons = [Button("Approve" * 20, "t1"), Button("Reject", "t2")]
    parts = CHANNEL.ask("**Deploy?** " + "word " * 1500, buttons)
    for part in parts:
        receipt = await CHANNEL.send(part, DIRECT)

    last = list(slack.shown.values())[-1]
    assert [token for _, token in last.buttons] == ["t1", "t2"]
    assert len(last.buttons[0][0]) <= 75
    await CHANNEL.edit({"text": "Approved"}, DIRECT, message=receipt)
    assert (last.text, last.buttons) == ("Approved", [])
