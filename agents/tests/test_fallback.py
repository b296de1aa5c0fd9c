"""Where a model fails, another goes on. Source: DESIGN.md, Agent: failures fall back, with cool-downs, along the licensed
models. A stream cut after tokens were shown continues once, visibly, or ends with what was written kept."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agents import harness
from agents.catalogue import Model
from agents.circuits import MemoryCircuits, Trouble
from agents.errors import AgentFailed
from agents.events import Notice, Started, ToolCall, Usage
from agents.harness_types import Answer
from agents.standbys import GO_ON
from agents.tests.doubles.http_server import Asked, Reply, answering_server, scripted_server
from agents.tests.doubles.mcp_double import mcp_double, result, text, tool
from agents.tests.licences import licence
from agents.tests.talks import CATALOGUE, USER, Talk, breaks_off, calls, reach, says

pytestmark = pytest.mark.usefixtures("nothing_left")


@dataclass
class Till:
    """A meter that writes down what it is told, and refuses models that cost too much."""

    dearest: float = 1000.0
    asked: list[str] = field(default_factory=list)
    paid: list[Usage] = field(default_factory=list)

    async def begin(self, model: Model, *, prompt_tokens: int) -> None:
        if (model.input or 0) > self.dearest:
            raise AgentFailed("budget_exhausted", "Your month's budget is used up.")
        self.asked.append(model.spec)

    def heard(self, text: str) -> None: ...

    def took(self, usage: Usage) -> None: ...

    async def end(self, usage: Usage, *, tool_calls: int) -> None:
        self.paid.append(usage)


class Chat(Talk):
    """A talk that nobody keeps."""

    async def say(self, content: str, *, channel: str = "web", **choices: Any) -> Answer:
        self.events.clear()
        answer = await harness.run_agent(self.request(content, channel=channel, **choices), self.emit)
        assert isinstance(answer, Answer)
        return answer


@pytest.fixture
async def talk(settings: Any, signing_key: str, nothing_left: None) -> AsyncIterator[Talk]:
    """A talk with a server of tools that is quickly there."""
    async with mcp_double(tool("list_instruments"), call=lambda asked: result(asked, text("twenty"))) as double:
        settings.MCP_SERVER_URL_ALLOWLIST = [double.server.url]
        yield Chat(licence(USER, url=double.url))


def started(talk: Talk) -> list[tuple[str, str]]:
    return [(event.model, event.reason) for event in talk.events if isinstance(event, Started)]


@pytest.mark.usefixtures("models")
class TestBeforeAWord:
    async def test_the_next_model_answers_and_the_conversation_keeps_its_own(self, talk: Talk, settings: Any) -> None:
        async with scripted_server(Reply(503), says("Hello.")) as server:
            reach(settings, server)
            answer = await talk.say("Hello there", preferred_model="openai/one")

        assert started(talk) == [
            ("openai/one", "this conversation uses this model"),
            ("openai/two", "in place of openai/one: OpenAI has a problem at the moment."),
        ]
        assert (answer.content, answer.model, answer.kept_model) == ("Hello.", "openai/two", "openai/one")
        assert answer.messages[-1]["model"] == "openai/two"
        assert answer.usage.cost_usd == pytest.approx((40 * 4.0 + 60 * 0.4 + 5 * 16.0) / 1e6)
        assert not [event for event in talk.events if isinstance(event, Notice)]

    async def test_what_failed_is_not_asked_first_the_next_time(self, talk: Talk, settings: Any) -> None:
        circuits = MemoryCircuits()
        async with scripted_server(Reply(503), says("Hello.")) as server:
            reach(settings, server)
            await talk.say("Hello there", preferred_model="openai/one", circuits=circuits)
            await talk.say("Hello again", preferred_model="openai/one", circuits=circuits)

        assert started(talk) == [("openai/two", "openai/one has a problem at the moment")]
        assert [asked.body["model"] for asked in server.asked] == ["one", "two", "two"]

    async def test_a_provider_that_is_away_takes_all_its_models_with_it(self, talk: Talk, settings: Any) -> None:
        circuits = MemoryCircuits()
        async with scripted_server(Reply(401)) as away, scripted_server(says("Hello.")) as there:
            reach(settings, away, other=there)
            answer = await talk.say("Hello there", preferred_model="openai/one", circuits=circuits)

        assert answer.model == "openrouter/three"
        assert len(away.asked) == 1
        assert await circuits.open_targets() == {"openai"}

    async def test_with_nothing_else_to_ask_an_open_circuit_is_asked(self, talk: Talk, settings: Any) -> None:
        circuits = MemoryCircuits()
        for name in ("one", "two"):
            await circuits.failed(Model(provider="openai", name=name, size="large"), Trouble())
        async with scripted_server(says("Hello.")) as server:
            settings.OPENAI_BASE_URL = f"{server.url}/v1"
            answer = await talk.say("Hello there", preferred_model="openai/one", circuits=circuits)

        assert answer.model == "openai/one"
        assert await circuits.open_targets() == {"openai/two"}

    async def test_when_all_fail_the_first_failure_is_told(self, talk: Talk, settings: Any) -> None:
        async with scripted_server(Reply(429), Reply(404)) as server:
            reach(settings, server)
            with pytest.raises(AgentFailed) as failed:
                await talk.say("Hello there", preferred_model="openai/one")

        assert (failed.value.code, failed.value.retryable) == ("rate_limited", True)
        assert len(server.asked) == 3

    async def test_a_conversation_too_long_for_a_model_goes_to_a_larger_one(self, talk: Talk, settings: Any) -> None:
        too_long = Reply(400, b'{"error": {"code": "context_length_exceeded", "message": "maximum context length"}}')
        circuits = MemoryCircuits()
        async with scripted_server(too_long, says("Hello.")) as server:
            reach(settings, server)
            answer = await talk.say("Hello there", model="openai/one", circuits=circuits)

        assert answer.model == "openai/two"
        assert await circuits.open_targets() == frozenset()

    async def test_a_budget_that_is_too_small_for_a_model_goes_to_the_cheapest(self, talk: Talk, settings: Any) -> None:
        till = Till(dearest=1.0)
        async with scripted_server(says("Hello.")) as server:
            reach(settings, server)
            answer = await talk.say("Hello there", model="openai/two", meter=till)

        assert (answer.model, till.asked) == ("openrouter/three", ["openrouter/three"])

    async def test_a_budget_that_is_used_up_ends_the_turn(self, talk: Talk, settings: Any) -> None:
        async with scripted_server(says("Hello.")) as server:
            reach(settings, server)
            with pytest.raises(AgentFailed) as failed:
                await talk.say("Hello there", meter=Till(dearest=0.0))

        assert failed.value.code == "budget_exhausted"
        assert server.asked == []


@pytest.mark.usefixtures("models")
class TestAfterWords:
    async def test_another_model_goes_on_where_the_stream_broke_off(self, talk: Talk, settings: Any) -> None:
        till = Till()
        async with scripted_server(breaks_off("The RSI ", "is "), says("41", ".")) as server:
            reach(settings, server)
            answer = await talk.say("What is it?", preferred_model="openai/one", meter=till)

        assert answer.content == "The RSI is 41." == talk.shown()
        assert answer.messages[-1]["content"] == "The RSI is 41."
        assert talk.kinds() == ["started", "token", "notice", "started", "token"]
        (note,) = [event.text for event in talk.events if isinstance(event, Notice)]
        assert note == "The answer from OpenAI broke off. openai/two goes on from here."
        said, told = server.asked[1].body["messages"][-2:]
        assert (said["role"], said["content"]) == ("assistant", "The RSI is ")
        assert (told["role"], told["content"]) == ("user", GO_ON)

    async def test_the_answer_is_paid_for_once(self, talk: Talk, settings: Any) -> None:
        till = Till()
        async with scripted_server(breaks_off("The RSI "), says("is 41.")) as server:
            reach(settings, server)
            answer = await talk.say("What is it?", preferred_model="openai/one", meter=till)

        assert till.paid == [Usage(100, 60, 5)]
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (100, 5)

    @pytest.mark.parametrize(("second", "written"), [(breaks_off("is "), "The RSI is "), (Reply(503), "The RSI ")])
    async def test_a_second_failure_ends_the_turn_with_what_was_written(
        self, talk: Talk, settings: Any, second: Reply, written: str
    ) -> None:
        async with scripted_server(breaks_off("The RSI "), second) as server:
            reach(settings, server)
            with pytest.raises(AgentFailed) as failed:
                await talk.say("What is it?", preferred_model="openai/one")

        assert (failed.value.code, failed.value.retryable) == ("provider_unavailable", False)
        assert talk.shown() == written
        assert len(server.asked) == 2

    async def test_a_tool_that_has_run_is_not_run_again(self, talk: Talk, settings: Any) -> None:
        asks = calls("list_instruments", {}, saying="Let me see.")
        async with scripted_server(asks, breaks_off("There ", "are "), says("twenty.")) as server:
            reach(settings, server)
            answer = await talk.say("What is there?", preferred_model="openai/one")

        assert answer.content == "Let me see.\n\nThere are twenty." == talk.shown()
        assert [event.tool for event in talk.events if isinstance(event, ToolCall)] == ["list_instruments"]
        assert [message["role"] for message in answer.messages] == ["user", "assistant", "tool", "assistant"]
        assert answer.messages[-1]["content"] == "There are twenty."

    async def test_the_one_that_goes_on_may_call_tools(self, talk: Talk, settings: Any) -> None:
        replies = [breaks_off("Let me "), calls("list_instruments", {}, saying="see."), says("Twenty.")]
        async with scripted_server(*replies) as server:
            reach(settings, server)
            answer = await talk.say("What is there?", preferred_model="openai/one")

        assert answer.content == "Let me see.\n\nTwenty." == talk.shown()
        assert answer.messages[1]["content"] == "Let me see."

    async def test_half_a_tool_call_of_the_broken_answer_is_forgotten(self, talk: Talk, settings: Any) -> None:
        from agents.tests.doubles.http_server import sse
        from agents.tests.doubles.vendors import Spoken, events

        half = Spoken(text=("Let me ",), tool="workspace__list_instruments", arguments=('{"a',), finished=False)
        async with scripted_server(sse(*events("openai", half)), says("see.")) as server:
            reach(settings, server)
            answer = await talk.say("What is there?", preferred_model="openai/one")

        assert answer.content == "Let me see."
        assert not [event for event in talk.events if isinstance(event, ToolCall)]


async def test_a_lone_model_that_breaks_off_goes_on_itself(talk: Talk, settings: Any, tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text(CATALOGUE.partition('[[model]]\nprovider = "openai"\nname = "two"')[0])
    settings.MODEL_CATALOGUE = str(path)
    async with scripted_server(breaks_off("The RSI "), says("is 41.")) as server:
        settings.OPENAI_BASE_URL = f"{server.url}/v1"
        answer = await talk.say("What is it?")

    assert (answer.content, answer.model) == ("The RSI is 41.", "openai/one")


async def test_at_most_three_models_are_asked(talk: Talk, settings: Any) -> None:
    def unwell(_asked: Asked) -> Reply:
        return Reply(500)

    async with answering_server(unwell) as server:
        for name in ("OPENAI", "OPENROUTER"):
            setattr(settings, f"{name}_BASE_URL", f"{server.url}/v1")
        settings.ANTHROPIC_BASE_URL = server.url
        with pytest.raises(AgentFailed):
            await talk.say("Hello there")

    assert len(server.asked) == 3
