"""What is kept of a turn that no workspace takes as it is. Source: DESIGN.md, section 2: a conversation always goes on."""

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from accounts.licences import Licence
from agents import harness
from agents.errors import AgentFailed, HistoryRefused
from agents.history import append_turn, read_history
from agents.mcp.keeping import MESSAGE_BYTES, MOST_MESSAGES, NOT_KEPT, TURN_BYTES, kept
from agents.tests.doubles.http_server import Asked, Reply, scripted_server
from agents.tests.doubles.mcp_double import mcp_double, result, text, tool
from agents.tests.licences import licence
from agents.tests.talks import USER, Talk, openai, says
from agents.transcript import RECALLED_ANSWER_BYTES, recalled
from gateway.ids import new_id

JSON = dict[str, Any]
ASKED: JSON = {"role": "user", "content": "Write a lot", "channel": "web"}
# More than 256 KiB of UTF-8, and more again in JSON.
LONG = '字"\n' * 92_000

pytestmark = pytest.mark.usefixtures("nothing_left")


def answer(content: str, **more: Any) -> JSON:
    return {"role": "assistant", "content": content, **more}


def size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())


async def test_a_conversation_goes_on_after_an_answer_that_is_longer_than_a_workspace_keeps(
    talk: Talk, settings: Any
) -> None:
    async with scripted_server(says(LONG), says("Still here.")) as server:
        openai(settings, server)
        shown = await talk.say("Write a lot")
        await talk.say("And now?")
        again = server.asked[1].body["messages"]

    assert shown.content == LONG
    page = await read_history(talk.licence, talk.conversation, before=3)
    assert [each["role"] for each in page.items] == ["user", "assistant"]
    assert page.items[1]["content"].endswith("[shortened]")
    assert size(page.items[1]) > MESSAGE_BYTES
    assert [message["role"] for message in again if "字" in str(message["content"])] == ["assistant"]


async def test_everything_that_a_turn_may_hold_is_taken_by_a_workspace(workspace: Licence) -> None:
    conversation = new_id()
    turn = [ASKED, *(answer("\x01é" * 200_000) for _ in range(MOST_MESSAGES + 50)), answer("The end.")]

    await append_turn(workspace, conversation, "t", turn)

    newest = await read_history(workspace, conversation, limit=1)
    assert newest.items[0]["content"] == "The end."


async def test_a_turn_with_many_long_messages_fits_into_one_request() -> None:
    turn = kept([ASKED, *(answer("字" * 70_000) for _ in range(100))])

    assert (turn[0], len(turn)) == (ASKED, 101)
    assert size(turn) <= TURN_BYTES + 4096
    assert all(message["content"].endswith("[shortened]") for message in turn[1:])


async def test_of_calls_that_are_too_long_the_arguments_go_first_and_then_the_calls() -> None:
    calls = [{"id": str(number), "name": "look", "arguments": {"rows": ["x" * 3000] * 90}} for number in range(2)]
    (short,) = kept([answer("I look.", tool_calls=calls)])
    (shorter,) = kept([answer("I look.", tool_calls=[{**each, "id": "x" * 200_000} for each in calls], model="m")])

    assert short == answer("I look.", tool_calls=[{**each, "arguments": {}} for each in calls])
    assert shorter == answer("I look.")


async def test_what_fits_is_kept_as_it_is() -> None:
    turn = [ASKED, answer("x" * (MESSAGE_BYTES - 100), model="m")]

    assert kept(turn) == turn


async def test_a_very_long_answer_of_an_earlier_turn_leaves_room_in_the_next_prompt() -> None:
    (_, answered) = recalled([ASKED, answer("x" * 200_000)])

    assert isinstance(answered, AIMessage)
    assert len(answered.text.encode()) <= RECALLED_ANSWER_BYTES


async def test_a_refused_turn_is_kept_in_a_few_words(settings: Any) -> None:
    def refuse_once(asked: Asked) -> Reply:
        if len(double.calls) == 1:
            return result(asked, text("Wrong arguments for append_messages", failed=True))
        return result(asked, {**text("stored"), "structuredContent": {"stored": True}})

    async with mcp_double(tool("append_messages"), call=refuse_once) as double:
        settings.MCP_SERVER_URL_ALLOWLIST = [double.server.url]
        await append_turn(licence(USER, url=double.url), "c", "t", [ASKED, answer("odd")])
        await harness.close()

    assert [arguments["messages"] for _, arguments in double.calls] == [
        [ASKED, answer("odd")],
        [{"role": "user", "content": "Write a lot"}, answer(NOT_KEPT)],
    ]


async def test_a_workspace_that_takes_nothing_is_told_from_one_that_is_away(settings: Any) -> None:
    def refuse(asked: Asked) -> Reply:
        return result(asked, text("Wrong arguments for append_messages: messages.1.content", failed=True))

    async with mcp_double(tool("append_messages"), call=refuse) as double:
        settings.MCP_SERVER_URL_ALLOWLIST = [double.server.url]
        with pytest.raises(HistoryRefused) as refused:
            await append_turn(licence(USER, url=double.url), "c", "t", [ASKED])
        await harness.close()
    with pytest.raises(AgentFailed) as away:
        await append_turn(licence(USER, url=double.url), "c", "t", [ASKED])

    assert not isinstance(away.value, HistoryRefused)
    assert "append_messages" not in refused.value.message


async def test_a_workspace_that_keeps_no_conversations_is_asked_to_keep_none(settings: Any) -> None:
    async with mcp_double() as double:
        settings.MCP_SERVER_URL_ALLOWLIST = [double.server.url]
        with pytest.raises(HistoryRefused):
            await append_turn(licence(USER, url=double.url), "c", "t", [ASKED])
        await harness.close()

    assert double.calls == []


async def test_a_refusal_is_told_to_the_user_without_the_tools_words(settings: Any) -> None:
    def refuse(asked: Asked) -> Reply:
        return result(asked, text("Wrong arguments for get_conversation: limit", failed=True))

    async with mcp_double(tool("get_conversation"), call=refuse) as double:
        settings.MCP_SERVER_URL_ALLOWLIST = [double.server.url]
        with pytest.raises(AgentFailed) as failed:
            await read_history(licence(USER, url=double.url), "c")
        await harness.close()

    assert failed.value.message == "Your workspace did not do its part. It refused what it was asked."
