"""Messages between the workspace's store and a model. Source: PLATFORMS.md: providers refuse a call without its result."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from agents.estimates import prompt_tokens
from agents.prompt_marks import is_kept
from agents.transcript import INTERRUPTED, STORED_RESULT_BYTES, recalled, repaired, stored, timed
from agents.window import HISTORY_TOKENS

JSON = dict[str, Any]
CALL: JSON = {"id": "call-1", "name": "look", "arguments": {"symbol": "SPX"}}
TURN: list[JSON] = [
    {"role": "user", "content": "Look at SPX", "channel": "web"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "41", "tool_call_id": "call-1", "name": "look"},
    {"role": "assistant", "content": "It is 41.", "model": "demo/demo"},
]


def ai(*calls: str, text: str = "") -> AIMessage:
    return AIMessage(text, tool_calls=[{"type": "tool_call", "id": each, "name": "look", "args": {}} for each in calls])


def tool(call: str) -> ToolMessage:
    return ToolMessage("41", tool_call_id=call, name="look")


def test_what_is_stored_of_a_turn_is_what_a_model_gets_back() -> None:
    user, *rest = recalled(TURN)

    assert isinstance(user, HumanMessage)
    assert stored(rest, model="demo/demo") == [
        {"model": "demo/demo", **each} if each["role"] == "assistant" else each for each in TURN[1:]
    ]


def test_a_call_without_its_result_gets_one_that_says_so() -> None:
    (_, _, result) = recalled(TURN[:2])

    assert isinstance(result, ToolMessage)
    assert (result.text, result.tool_call_id, result.status) == (INTERRUPTED, "call-1", "error")


@pytest.mark.parametrize("first", [1, 2, 3])
def test_a_page_that_begins_in_the_middle_of_a_turn_begins_with_the_next_one(first: int) -> None:
    messages = recalled([*TURN[first:], {"role": "user", "content": "And now?"}])

    assert [message.text for message in messages] == ["And now?"]


def test_a_tools_time_and_failure_are_stored_with_its_result() -> None:
    failed = ToolMessage("No such symbol.", tool_call_id="1", name="look", status="error")

    assert [(each.get("ms"), each.get("failed")) for each in stored([timed(failed, ms=84), tool("2")], model="m")] == [
        (84, True),
        (None, None),
    ]


def test_a_long_result_is_stored_in_short() -> None:
    (kept,) = stored([ToolMessage("x" * 100_000, tool_call_id="1", name="look")], model="m")

    assert len(kept["content"]) <= STORED_RESULT_BYTES


def test_a_long_argument_is_stored_in_short() -> None:
    message = AIMessage(
        "", tool_calls=[{"type": "tool_call", "id": "1", "name": "x", "args": {"csv": "x" * 9_000, "n": 1}}]
    )
    (kept,) = stored([message], model="m")

    assert len(kept["tool_calls"][0]["arguments"]["csv"]) == 501
    assert kept["tool_calls"][0]["arguments"]["n"] == 1


def long_talk(turns: int) -> list[JSON]:
    talk: list[JSON] = []
    for number in range(turns):
        said = {"role": "user", "content": f"{number} " + "x" * 2_000, "turn": f"turn-{number}"}
        talk += [said, {"role": "assistant", "content": "y" * 2_000, "turn": f"turn-{number}"}]
    return talk


def test_of_a_long_talk_the_newest_is_recalled() -> None:
    messages = recalled(long_talk(100))

    assert isinstance(messages[0], HumanMessage)
    assert messages[-1].text.startswith("y")
    assert HISTORY_TOKENS / 2 - 1_400 < prompt_tokens(messages) <= HISTORY_TOKENS


def test_what_is_recalled_begins_at_the_same_message_for_many_turns() -> None:
    """Source: DESIGN.md, Harness: providers cache the longest beginning that two prompts share."""
    begins = [recalled(long_talk(turns))[0].text.split()[0] for turns in range(1, 101)]

    assert len(set(begins)) < 10
    assert begins == sorted(begins, key=int)


def test_the_ends_of_the_last_two_turns_are_marked() -> None:
    messages = recalled(long_talk(5))

    assert [index for index, message in enumerate(messages) if is_kept(message)] == [7, 9]


messages_ = st.lists(
    st.one_of(
        st.just(HumanMessage("hello")),
        st.lists(st.sampled_from("abc"), unique=True, max_size=2).map(lambda calls: ai(*calls, text="text")),
        st.sampled_from("abc").map(tool),
    ),
    max_size=12,
)


@given(messages_)
def test_any_history_becomes_one_that_providers_take(messages: list[AnyMessage]) -> None:
    """It begins with the user's message; results follow their call at once, each once; nothing the user said is lost."""
    whole = repaired(messages)

    assert not whole or isinstance(whole[0], HumanMessage)
    waiting: list[str | None] = []
    for message in whole:
        if isinstance(message, ToolMessage):
            waiting.remove(message.tool_call_id)
            continue
        assert waiting == []
        waiting = [call["id"] for call in message.tool_calls] if isinstance(message, AIMessage) else []
    assert waiting == []
    assert sum(isinstance(each, HumanMessage) for each in whole) == sum(
        isinstance(each, HumanMessage) for each in messages
    )
    assert repaired(whole) == whole
