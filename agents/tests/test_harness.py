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
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import pytest
import talib

from accounts.licences import Licence
from agents import harness
from agents.agent_loop import MOST_STEPS
from agents.errors import AgentFailed
from agents.events import Event, Started, Token, ToolCall, ToolResult
from agents.harness_types import Answer, TurnRequest
from agents.history import append_turn, read_history
from agents.tests.doubles.http_server import Reply, ScriptedServer, scripted_server, sse
from agents.tests.doubles.mcp_double import mcp_double, result, text, tool
from agents.tests.doubles.vendors import Spoken, events
from agents.tests.doubles.workspace import running_workspace
from agents.tests.licences import licence
from gateway.ids import new_id
from provisioning.tokens import public_key_file

JSON = dict[str, Any]
USER = "demo-pro"


@dataclass
class Talk:
    """A user's conversation with the agent: `say` runs a turn and stores it, as the engine does."""

    licence: Licence
    conversation: str = field(default_factory=new_id)
    events: list[Event] = field(default_factory=list)
    first_token: asyncio.Event = field(default_factory=asyncio.Event)

    async def say(self, content: str, *, channel: str = "web", **choices: Any) -> Answer:
        turn = new_id()
        self.events.clear()
        answer = await harness.run_agent(self.request(content, turn=turn, channel=channel, **choices), self.emit)
        await append_turn(self.licence, self.conversation, turn, answer.messages)
        return answer

    def request(self, content: str, *, turn: str = "", channel: str = "web", **choices: Any) -> TurnRequest:
        return TurnRequest(
            turn=turn or new_id(),
            conversation=self.conversation,
            user_id=USER,
            channel=channel,
            content=content,
            licence=self.licence,
            **choices,
        )

    async def emit(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Token):
            self.first_token.set()

    def shown(self) -> str:
        return "".join(event.content for event in self.events if isinstance(event, Token))

    def kinds(self) -> list[str]:
        """The events' types, a run of tokens as one."""
        kinds = [event.type for event in self.events]
        return [
            kind for index, kind in enumerate(kinds) if index == 0 or kind != "token" or kinds[index - 1] != "token"
        ]


@pytest.fixture(scope="module")
def workspace_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture
def workspace(settings: Any, signing_key: str, workspace_folder: Path) -> Iterator[Licence]:
    """A licence whose workspace runs."""
    with running_workspace(workspace_folder, user=USER, public_key=public_key_file()) as url:
        settings.MCP_SERVER_URL_ALLOWLIST = [url]
        yield licence(USER, url=f"{url}/mcp")


@pytest.fixture(autouse=True)
async def _closed() -> AsyncIterator[None]:
    yield
    await harness.close()
    others = {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}
    assert not [name for name in others if "mcp" in name or "build" in name]


@pytest.fixture
def talk(workspace: Licence) -> Talk:
    return Talk(workspace)


def openai(settings: Any, server: ScriptedServer) -> None:
    """Let the scripted server be the configured default."""
    settings.DEFAULT_MODEL_PROVIDER, settings.DEFAULT_MODEL = "openai", "scripted"
    settings.OPENAI_BASE_URL = f"{server.url}/v1"


def says(*pieces: str) -> Reply:
    return sse(*events("openai", Spoken(text=pieces)))


def calls(name: str, arguments: JSON | str, *, saying: str = "") -> Reply:
    given = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return sse(
        *events("openai", Spoken(text=(saying,) if saying else (), tool=f"workspace__{name}", arguments=(given,)))
    )


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


async def test_the_prompt_begins_with_what_never_changes(talk: Talk, settings: Any) -> None:
    """Source: DESIGN.md, Harness: the prompt has a stable order, so that provider caches hit."""
    await talk.say("Remember that I trade only futures")
    async with scripted_server(says("Hello.")) as server:
        openai(settings, server)
        await talk.say("Hello?")

    messages = server.asked[0].body["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "tool", "assistant", "user"]
    system = messages[0]["content"]
    assert system.index("You are Dexorder's trading assistant") == 0
    assert system.index("<profile>") < system.index("I trade only futures") < system.index("<preferences>")
    assert system.index("<preferences>") < system.index("Today is ")


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


async def test_wrong_arguments_go_back_to_the_model_without_a_call(talk: Talk, settings: Any) -> None:
    async with scripted_server(
        calls("compute_indicators", {"symbol": "SPX", "indicators": []}),
        calls("compute_indicators", '{"symbol": "SP'),
        calls("append_messages", {"conversation": "x", "turn": "y", "messages": []}),
        says("I give up."),
    ) as server:
        openai(settings, server)
        await talk.say("RSI of SPX?")

    errors = [event.error for event in talk.events if isinstance(event, ToolResult)]
    assert errors[0] is not None
    assert "indicators: [] should be non-empty" in errors[0]
    assert errors[1] == "The arguments were not a JSON object. Send the whole call again."
    assert errors[2] == "There is no tool named 'workspace__append_messages'."
    given = [m["content"] for m in server.asked[3].body["messages"] if m["role"] == "tool"]
    assert given == errors


async def test_a_tools_own_error_reaches_model_and_user(talk: Talk) -> None:
    await talk.say("RSI of FOO")

    (done,) = [event for event in talk.events if isinstance(event, ToolResult)]
    assert done.error is not None
    assert done.error.startswith("No instrument 'FOO'.")


async def test_an_agent_that_goes_round_in_circles_is_stopped(talk: Talk, settings: Any) -> None:
    async with scripted_server(calls("list_instruments", {})) as server:
        openai(settings, server)
        with pytest.raises(AgentFailed) as failed:
            await talk.say("Go")

    assert failed.value.code == "too_many_steps"
    assert len(server.asked) == MOST_STEPS


async def test_a_provider_that_is_down_fails_the_attempt_after_started(talk: Talk, settings: Any) -> None:
    async with scripted_server(Reply(503)) as server:
        openai(settings, server)
        with pytest.raises(AgentFailed) as failed:
            await talk.say("Go")

    assert (failed.value.code, failed.value.retryable) == ("provider_unavailable", True)
    assert talk.kinds() == ["started"]


async def test_a_model_that_the_licence_does_not_cover_is_refused(talk: Talk, settings: Any) -> None:
    settings.OPENAI_API_KEY = "key"
    with pytest.raises(AgentFailed) as failed:
        await talk.say("Go", model="anthropic/claude-opus-5-5")

    assert failed.value.code == "model_not_available"
    assert "openai/gpt-5.4" in failed.value.message


async def test_cancelling_reaches_the_model(talk: Talk, settings: Any) -> None:
    half = sse(*events("openai", Spoken(text=("The ",), finished=False)), held=True)
    async with scripted_server(half) as server:
        openai(settings, server)
        running = asyncio.create_task(talk.say("Go"))
        async with asyncio.timeout(10):
            await talk.first_token.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        async with asyncio.timeout(5):
            await server.left.wait()


async def test_cancelling_reaches_the_running_tool(settings: Any, signing_key: str) -> None:
    called = asyncio.Event()

    def hang(_asked: object) -> Reply:
        called.set()
        return Reply(held=True)

    async with mcp_double(call=hang) as double, scripted_server(calls("look", {})) as server:
        settings.MCP_SERVER_URL_ALLOWLIST = [double.server.url]
        openai(settings, server)
        running = asyncio.create_task(Talk(licence(USER, url=double.url)).say("Go"))
        async with asyncio.timeout(10):
            await called.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        async with asyncio.timeout(5):
            await double.server.left.wait()


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
                    async with asyncio.timeout(5):
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

    assert (answer.content, most) == ("Both.", 2)


def _call(index: int, name: str) -> JSON:
    return {
        "index": index,
        "id": f"call_{index}",
        "type": "function",
        "function": {"name": f"workspace__{name}", "arguments": "{}"},
    }


async def test_a_server_without_context_or_history_still_serves_its_tools(settings: Any, signing_key: str) -> None:
    """A server set by staff in a workspace's place need have tools only."""
    async with mcp_double() as double, scripted_server(calls("look", {}), says("Seen.")) as server:
        settings.MCP_SERVER_URL_ALLOWLIST = [double.server.url]
        openai(settings, server)
        talk = Talk(licence(USER, url=double.url))
        answer = await harness.run_agent(talk.request("Go"), talk.emit)

    assert answer.content == "Seen."
    assert (await _history(talk)) == "workspace_unreachable"


async def _history(talk: Talk) -> str:
    with pytest.raises(AgentFailed) as failed:
        await append_turn(talk.licence, "x", "y", [{"role": "user", "content": "Hi"}])
    return failed.value.code


async def test_a_workspace_that_may_not_be_used_fails_with_its_cause() -> None:
    talk = Talk(licence(USER, url="http://127.0.0.1:9/mcp"))
    with pytest.raises(AgentFailed) as failed:
        await talk.say("Go")

    assert (failed.value.code, failed.value.retryable) == ("workspace_failed", False)


async def test_the_first_request_of_many_imports_everything_once(talk: Talk) -> None:
    """Modules come in by a thread; a turn that comes meanwhile must not see half of one."""
    answers = await asyncio.gather(*(Talk(talk.licence).say("My name is Ada") for _ in range(5)))

    assert len({answer.content for answer in answers}) == 1


def test_tracing_stays_off_whatever_the_environment_says() -> None:
    """Source: LangSmith never on by accident."""
    script = (
        "import django; django.setup()\n"
        "import agents.turn_run\n"
        "from langsmith.utils import tracing_is_enabled\n"
        "assert tracing_is_enabled() is False\n"
    )
    names = ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING", "LANGCHAIN_TRACING_V2")
    subprocess.run([sys.executable, "-c", script], env={**os.environ, **dict.fromkeys(names, "true")}, check=True)
