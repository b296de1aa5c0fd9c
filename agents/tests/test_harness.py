"""A turn from its request to its answer, with a real workspace and scripted models.

Source: DESIGN.md, section 6; the order of events of section 3.
"""

import asyncio
import csv
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy
import pytest
import talib

from accounts.licences import Licence
from agents import harness
from agents.errors import AgentFailed
from agents.events import Event, Started, ToolCall, ToolProgress, ToolResult
from agents.harness_types import Answer, Said
from agents.history import append_turn, read_history
from agents.prompts import prompt
from agents.tests.doubles.http_server import scripted_server, sse
from agents.tests.doubles.mcp_double import mcp_double, progress_then, result, text, tool
from agents.tests.licences import licence
from agents.tests.talks import USER, Talk, calls, openai, says

JSON = dict[str, Any]

pytestmark = pytest.mark.usefixtures("nothing_left")


class Threads(ThreadPoolExecutor):
    """An event loop's threads, which note what they are asked to do."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def submit(self, act: Callable[..., Any], /, *args: Any, **named: Any) -> "Future[Any]":
        self.asked.append(repr(act))
        return super().submit(act, *args, **named)


def closes() -> "numpy.ndarray[Any, numpy.dtype[numpy.float64]]":
    """The closes of SPX as the shipped data has them."""
    path = Path(__file__).parents[2] / "workspace/mcp_server/market/shipped/SPX.csv.gz"
    with gzip.open(path, "rt") as file:
        return numpy.array([float(row["close"]) for row in csv.DictReader(file)])


async def test_the_demo_computes_on_real_data_and_says_what_it_rests_on(talk: Talk) -> None:
    """Source: the figure equals the one computed directly from the data, and the answer states its dates."""
    answer = await talk.say("RSI of SPX over the last 252 bars?")
    expected = talib.RSI(closes()[-252:], 14)[-1]

    assert f"**{expected:,.2f}**" in answer.content
    assert "252 daily bars from 2017-12-29 to 2018-12-31" in answer.content
    assert talk.kinds() == ["started", "tool_call", "tool_result", "token"]
    assert talk.shown() == answer.content
    (call,) = [event for event in talk.events if isinstance(event, ToolCall)]
    assert (call.tool, call.arguments["limit"]) == ("compute_indicators", 252)
    (done,) = [event for event in talk.events if isinstance(event, ToolResult)]
    assert (done.call, done.error) == (call.call, None)
    assert "SPX" in done.summary


async def test_a_talk_begun_on_the_web_goes_on_in_telegram(talk: Talk) -> None:
    await talk.say("My name is Ada", channel="web")
    answer = await talk.say("What is my name?", channel="telegram")

    assert "Ada" in answer.content
    assert answer.messages[0] == {"role": "user", "content": "What is my name?", "channel": "telegram"}


async def test_the_history_holds_a_turn_with_its_tools_and_pages_backwards(talk: Talk) -> None:
    await talk.say("List the instruments")
    answer = await talk.say("My name is Ada")
    page = await read_history(talk.licence, talk.conversation, limit=2)
    older = await read_history(talk.licence, talk.conversation, before=page.before)

    assert [(item["role"], item["content"]) for item in page.items] == [
        ("user", "My name is Ada"),
        ("assistant", answer.content),
    ]
    assert [item["role"] for item in older.items] == ["user", "assistant", "tool", "assistant"]
    assert older.items[1]["tool_calls"][0]["name"] == "list_instruments"
    assert older.items[-1]["model"] == "demo/demo"
    assert older.before is None


async def test_storing_a_turn_twice_stores_it_once(talk: Talk) -> None:
    for _ in range(2):
        await append_turn(talk.licence, talk.conversation, "turn-1", [{"role": "user", "content": "Hi"}])

    assert len((await read_history(talk.licence, talk.conversation)).items) == 1


async def test_a_model_calls_tools_and_answers_with_their_results(talk: Talk, settings: Any) -> None:
    asks = calls("compute_indicators", {"symbol": "SPX", "indicators": [{"name": "RSI"}]}, saying="One moment.")
    async with scripted_server(asks, says("It is ", "42.")) as server:
        openai(settings, server)
        answer = await talk.say("RSI of SPX?")

    assert talk.kinds() == ["started", "token", "tool_call", "tool_result", "token"]
    assert answer.content == "One moment.\n\nIt is 42." == talk.shown()
    assert (answer.usage.input_tokens, answer.usage.cached_tokens, answer.usage.output_tokens) == (200, 120, 10)
    assert answer.usage.cost_usd is None
    started = talk.events[0]
    assert started == Started("openai/scripted", "the default model here", 1)
    (given,) = [m["content"] for m in server.asked[1].body["messages"] if m["role"] == "tool"]
    assert json.loads(given)["bars"] == 5031
    assert [message["role"] for message in answer.messages] == ["user", "assistant", "tool", "assistant"]


async def test_a_turn_takes_no_thread(talk: Talk, settings: Any) -> None:
    """A busy event loop gives a thread its turn after 5 ms at the earliest (sys.getswitchinterval)."""
    asks = calls("compute_indicators", {"symbol": "SPX", "indicators": [{"name": "RSI"}]})
    async with scripted_server(says("Ready."), asks, says("It is 42.")) as server:
        openai(settings, server)
        await talk.say("What the first turn of a process loads is there.")
        # The loop shuts it down with itself.
        threads = Threads()
        asyncio.get_running_loop().set_default_executor(threads)
        answer = await talk.say("RSI of SPX?")

        taken = list(threads.asked)

    assert answer.content == "It is 42."
    assert taken == []


async def test_the_prompt_begins_with_what_never_changes(talk: Talk, settings: Any) -> None:
    """Source: DESIGN.md, Harness: the prompt has a stable order, so that provider caches hit."""
    await talk.say("Remember that I trade only futures")
    async with scripted_server(says("Hello.")) as server:
        openai(settings, server)
        await talk.say("Hello?")

    messages = server.asked[0].body["messages"]
    assert [message["role"] for message in messages] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
        "user",
    ]
    assert messages[0]["content"] == prompt("system").text
    aside, asked = messages[-2]["content"], messages[-1]["content"]
    assert asked == "Hello?"
    assert aside.startswith("<context>")
    assert aside.index("Today is ") < aside.index("<profile>") < aside.index("<memories>\n- I trade only futures")
    assert "used_bytes" not in aside


async def test_the_preferred_model_answers_until_the_conversation_has_one(talk: Talk, settings: Any) -> None:
    async with scripted_server(says("Hello.")) as server:
        settings.OPENAI_BASE_URL = settings.ANTHROPIC_BASE_URL = f"{server.url}/v1"
        await _set_preference(talk.licence, "openai/gpt-5.4-mini")
        answer = await talk.say("Hello?")
        assert talk.events[0] == Started("openai/gpt-5.4-mini", "your preferred model", 1)
        assert answer.usage.cost_usd == pytest.approx((40 * 0.75 + 60 * 0.075 + 5 * 4.5) / 1e6)

        await talk.say("Hello?", preferred_model="openai/gpt-5.4")
        assert talk.events[0] == Started("openai/gpt-5.4", "this conversation uses this model", 1)
        await _set_preference(talk.licence, None)


async def _set_preference(of: Licence, model: str | None) -> None:
    from agents.mcp.pool import pool

    await pool().session(of).call_tool("set_preferences", {"values": {"model": model}})


async def test_tools_that_do_not_depend_on_each_other_run_at_once(settings: Any, signing_key: str) -> None:
    running, most = 0, 0

    async with mcp_double(tool("look"), tool("see")) as double:
        settings.MCP_SERVER_URL_ALLOWLIST = [double.server.url]
        both = asyncio.Event()

        class Watch(Talk):
            async def emit(self, event: Event) -> None:
                nonlocal running, most
                running += {"tool_call": 1, "tool_result": -1}.get(event.type, 0)
                most = max(most, running)
                if most == 2:
                    both.set()
                if event.type == "tool_call":
                    async with asyncio.timeout(60):
                        await both.wait()

        double.call = lambda asked: result(asked, text("seen"))
        head = {"index": 0, "delta": {"tool_calls": [_call(0, "look"), _call(1, "see")]}, "finish_reason": None}
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        parts = [
            {**chunk, "choices": [head]},
            {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
        ]
        two = sse(*(f"data: {json.dumps(part)}\n\n".encode() for part in parts))
        async with scripted_server(two, says("Both.")) as server:
            openai(settings, server)
            watch = Watch(licence(USER, url=double.url))
            answer = await harness.run_agent(watch.request("Go"), watch.emit)

    assert isinstance(answer, Answer)
    assert (answer.content, most) == ("Both.", 2)


def _call(index: int, name: str) -> JSON:
    return {
        "index": index,
        "id": f"call_{index}",
        "type": "function",
        "function": {"name": f"workspace__{name}", "arguments": "{}"},
    }


async def test_progress_of_a_tool_is_shown_now_and_then(settings: Any, signing_key: str) -> None:
    """A busy loop may report a thousand times a second; the last step is always shown."""
    steps: list[JSON] = [{"progress": step, "total": 100, "message": "bars\x1b[2J"} for step in range(101)]
    async with mcp_double(call=lambda asked: progress_then(asked, steps, text("done"))) as double:
        settings.MCP_SERVER_URL_ALLOWLIST = [double.server.url]
        async with scripted_server(calls("look", {}), says("Done.")) as server:
            openai(settings, server)
            talk = Talk(licence(USER, url=double.url))
            await harness.run_agent(talk.request("Go"), talk.emit)

    shown = [event for event in talk.events if isinstance(event, ToolProgress)]
    assert shown[0] == ToolProgress("call_1", 0, 100, "bars")
    assert shown[-1] == ToolProgress("call_1", 100, 100, "bars")
    assert len(shown) < 10


async def test_a_server_without_context_or_history_still_serves_its_tools(settings: Any, signing_key: str) -> None:
    """A server set by staff in a workspace's place need have tools only."""
    async with mcp_double() as double, scripted_server(calls("look", {}), says("Seen.")) as server:
        settings.MCP_SERVER_URL_ALLOWLIST = [double.server.url]
        openai(settings, server)
        talk = Talk(licence(USER, url=double.url))
        answer = await harness.run_agent(talk.request("Go"), talk.emit)

    assert isinstance(answer, Answer)
    assert answer.content == "Seen."
    assert (await _history(talk)) == "workspace_unreachable"


async def _history(talk: Talk) -> str:
    with pytest.raises(AgentFailed) as failed:
        await append_turn(talk.licence, "x", "y", [{"role": "user", "content": "Hi"}])
    return failed.value.code


async def test_the_first_request_of_many_imports_everything_once(talk: Talk) -> None:
    """Modules come in by a thread; a turn that comes meanwhile must not see half of one."""
    answers = await asyncio.gather(*(Talk(talk.licence).say("My name is Ada") for _ in range(5)))

    assert len({answer.content for answer in answers}) == 1


def test_tracing_stays_off_whatever_the_environment_says() -> None:
    """Source: LangSmith never on by accident."""
    script = (
        "import django; django.setup()\n"
        "import agents.turn_run, agents.workflow_graph\n"
        "from langsmith.utils import tracing_is_enabled\n"
        "assert tracing_is_enabled() is False\n"
    )
    names = ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING", "LANGCHAIN_TRACING_V2")
    subprocess.run([sys.executable, "-c", script], env={**os.environ, **dict.fromkeys(names, "true")}, check=True)


async def test_what_the_user_adds_goes_into_the_models_next_call_and_into_the_history(
    talk: Talk, settings: Any
) -> None:
    added = [[], [Said("In weeks, please", "telegram")]]

    async def more() -> list[Said]:
        return added.pop(0)

    async with scripted_server(calls("list_instruments", {}), says("In weeks.")) as server:
        openai(settings, server)
        answer = await talk.say("RSI of SPX?", joined=(Said("Be brief", "web"),), more=more)

    first, second = (asked.body["messages"] for asked in server.asked)
    assert [message["content"] for message in first[-2:]] == ["RSI of SPX?", "Be brief"]
    assert [message["role"] for message in second[-3:]] == ["assistant", "tool", "user"]
    assert second[-1]["content"] == "In weeks, please"
    said = [(each["content"], each["channel"]) for each in answer.messages if each["role"] == "user"]
    assert said == [("RSI of SPX?", "web"), ("Be brief", "web"), ("In weeks, please", "telegram")]
    assert [each["role"] for each in answer.messages] == ["user", "user", "assistant", "tool", "user", "assistant"]
