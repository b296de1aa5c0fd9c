"""What ends a turn badly, or a call in it, and what is left behind: nothing.

Source: DESIGN.md, section 6: every error of a model or tool is told, none is swallowed.
"""

import asyncio
from typing import Any

import pytest

from agents.agent_loop import MOST_STEPS
from agents.errors import AgentFailed
from agents.events import Notice, ToolResult, Usage
from agents.harness_types import Unmetered
from agents.standbys import MOST_MODELS
from agents.tests.doubles.http_server import Reply, scripted_server, sse
from agents.tests.doubles.mcp_double import mcp_double
from agents.tests.doubles.vendors import Spoken, events
from agents.tests.licences import licence
from agents.tests.talks import USER, Talk, calls, openai, says

pytestmark = pytest.mark.usefixtures("nothing_left")


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


async def test_an_answer_that_reached_its_greatest_length_says_so(talk: Talk, settings: Any) -> None:
    async with scripted_server(sse(*events("openai", Spoken(text=("One, two,",), cut=True)))) as server:
        openai(settings, server)
        answer = await talk.say("Count")

    assert answer.content == "One, two,"
    assert [event.text for event in talk.events if isinstance(event, Notice)] == [
        "The answer is longer than one of 8,192 tokens may be, and is cut here. Ask for the rest if you need it."
    ]


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


async def test_a_provider_that_is_down_fails_the_attempt_after_three_of_its_models(talk: Talk, settings: Any) -> None:
    async with scripted_server(Reply(503)) as server:
        openai(settings, server)
        with pytest.raises(AgentFailed) as failed:
            await talk.say("Go")

    assert (failed.value.code, failed.value.retryable) == ("provider_unavailable", True)
    assert talk.kinds() == ["started"] * 3
    assert [asked.body["model"] for asked in server.asked] == ["scripted", "gpt-5.4-mini", "gpt-5.4"]


class Booked(Unmetered):
    """Keeps what failed calls took."""

    def __init__(self) -> None:
        self.taken: list[Usage] = []

    def took(self, usage: Usage) -> None:
        self.taken.append(usage)


async def test_an_empty_answer_is_booked_by_the_vendors_figure(talk: Talk, settings: Any) -> None:
    """A model that thinks and then says nothing is paid for all the same."""
    booked = Booked()
    async with scripted_server(says()) as server:
        openai(settings, server)
        with pytest.raises(AgentFailed, match="empty answer"):
            await talk.say("Go", meter=booked)

    assert booked.taken == [Usage(100, 60, 5)] * MOST_MODELS


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
        async with asyncio.timeout(60):
            await talk.first_token.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        async with asyncio.timeout(60):
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
        async with asyncio.timeout(60):
            await called.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        async with asyncio.timeout(60):
            await double.server.left.wait()


async def test_a_workspace_that_may_not_be_used_fails_with_its_cause() -> None:
    talk = Talk(licence(USER, url="http://127.0.0.1:9/mcp"))
    with pytest.raises(AgentFailed) as failed:
        await talk.say("Go")

    assert (failed.value.code, failed.value.retryable) == ("workspace_failed", False)
