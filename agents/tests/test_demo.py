"""The demo model's rules, and that it is a chat model like any other. The whole path is in test_harness.py."""

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage

from agents.mcp.tools import Tool
from agents.providers._demo.answers import phrase
from agents.providers._demo.model import DemoChatModel
from agents.providers._demo.rules import HELP, next_step
from agents.providers._demo.talk import Call, Say, Step, Talk, ToolReply

RSI = {"name": "RSI"}


def indicators(symbol: str, *wanted: dict[str, Any], **limits: Any) -> Call:
    return Call("compute_indicators", {"symbol": symbol, "indicators": list(wanted), **limits})


@pytest.mark.parametrize(
    ("message", "step"),
    [
        ("RSI of SPX over the last 252 bars?", indicators("SPX", RSI, limit=252)),
        ("What's the RSI(21) for ^GSPC?", indicators("^GSPC", {"name": "RSI", "params": {"timeperiod": 21}})),
        ("compute the rsi on spx", indicators("spx", RSI)),
        ("SPX RSI, please", indicators("SPX", RSI)),
        ("RSI of S&P 500 since 2018-01-01", indicators("S&P 500", RSI, start="2018-01-01")),
        (
            "50-day SMA and MACD of IXIC until 2010-12-31",
            indicators("IXIC", {"name": "SMA", "params": {"timeperiod": 50}}, {"name": "MACD"}, end="2010-12-31"),
        ),
        ("list the instruments", Call("list_instruments")),
        ("Which symbols are there?", Call("list_instruments")),
        ("price of SPX", Call("get_bars", {"symbol": "SPX", "limit": 5})),
        ("Show the last 9999 bars of IXIC", Call("get_bars", {"symbol": "IXIC", "limit": 500})),
        ("Remember that I trade only futures", Call("remember", {"content": "I trade only futures"})),
        ("What do you remember about futures?", Call("search_memory", {"query": "futures"})),
        ("what do you know about me?", Call("list_memories")),
        ("What are my preferences?", Call("get_preferences")),
        ("RSI?", Say("Which instrument do you mean? For example: RSI of SPX over the last 252 bars.")),
        ("What did I say before?", Say("This is the first message of our conversation.")),
        ("What is my name?", Say("You haven't told me your name yet.")),
        ("Hello, AI!", Say(HELP)),
        ("", Say(HELP)),
    ],
)
def test_a_message_leads_to_its_step(message: str, step: Step) -> None:
    assert next_step(Talk((message,))) == step


def test_it_knows_what_was_said_before() -> None:
    assert next_step(Talk(("My name is Ada.", "What is my name?"))) == Say(
        "Your name is Ada; you told me in this conversation."
    )
    assert next_step(Talk(("Price of SPX", "What did I ask before?"))) == Say("You wrote before: “Price of SPX”")


def test_the_answer_states_figure_date_range_and_bars() -> None:
    """Source: DESIGN.md, section 9: a figure says its dates."""
    values = {
        "symbol": "SPX", "name": "S&P 500", "from": "2017-12-29", "to": "2018-12-31", "bars": 252,
        "results": [{"name": "RSI", "params": {"timeperiod": 14}, "latest": {"date": "2018-12-31", "RSI": 41.7052}}],
    }  # fmt: skip
    answer = phrase([ToolReply("compute_indicators", values, "")])

    for part in ("**41.71**", "2018-12-31", "2017-12-29", "252 daily bars", "RSI(14)", "demo model"):
        assert part in answer


def test_a_failed_tool_is_told_as_it_said() -> None:
    answer = phrase([ToolReply("compute_indicators", None, "No instrument 'FOO'.")])

    assert "No instrument 'FOO'." in answer


def tools(*names: str) -> list[dict[str, Any]]:
    return [Tool(name, "A tool.", {"type": "object", "properties": {}}, repeatable=True).for_model() for name in names]


async def test_it_streams_words_and_says_why_it_ended() -> None:
    model = DemoChatModel().bind_tools(tools("list_instruments"))
    chunks = [chunk async for chunk in model.astream([HumanMessage("My name is Ada")])]
    whole = sum(chunks[1:], chunks[0])

    assert isinstance(whole, AIMessageChunk)
    assert len(chunks) > 10
    assert whole.text.startswith("Nice to meet you, Ada.")
    assert whole.response_metadata["finish_reason"] == "stop"
    assert whole.usage_metadata is not None


async def test_it_calls_a_bound_tool_by_its_namespaced_name() -> None:
    model = DemoChatModel().bind_tools(tools("list_instruments"))
    message = await model.ainvoke([HumanMessage("list the instruments")])

    (call,) = message.tool_calls
    assert (call["name"], call["args"]) == ("workspace__list_instruments", {})
    assert json.dumps(message.usage_metadata)


async def test_it_says_which_tool_it_would_need() -> None:
    message = await DemoChatModel().bind_tools([]).ainvoke([HumanMessage("list the instruments")])

    assert "list_instruments" in message.text
    assert message.tool_calls == []
