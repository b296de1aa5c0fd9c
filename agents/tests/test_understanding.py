"""What a real model's answer, well-formed or not, makes of the words after /analyse. The model's server is scripted.

Source: DESIGN section 6: understand, and ask back when unclear.
"""

import json
from typing import Any

import pytest

from accounts.licences import Licence
from agents.tests.doubles.http_server import Reply, scripted_server, sse
from agents.tests.doubles.vendors import Spoken, events
from agents.tests.engine import TestWorker, frames, row, say
from agents.tests.talks import breaks_off, openai, reach, says
from agents.tests.workflows import RealBrain, pending_approval, run_one

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users", "pool")]
WISH = {"strategy": "sma_crossover", "symbol": "SPX", "start": "2010-01-01", "params": {"fast": 10}}


@pytest.fixture
async def worker(mine: Licence) -> TestWorker:
    return await TestWorker(RealBrain()).begin()


def calling(name: str, arguments: Any) -> Reply:
    given = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return sse(*events("openai", Spoken(tool=name, arguments=(given,))))


async def understood(
    worker: TestWorker, settings: Any, reply: Reply, words: str = "Check the SMA thing"
) -> tuple[str, Any]:
    """The turn, and what the model's server was asked."""
    async with scripted_server(reply) as server:
        openai(settings, server)
        accepted = await say(f"/analyse {words}")
        await run_one(worker)
        return accepted.turn, server.asked[0].body


async def test_a_model_that_understands_it_says_so_by_a_tool(worker: TestWorker, settings: Any) -> None:
    turn, asked = await understood(worker, settings, calling("analysis_request", WISH))

    approval = await pending_approval(turn)
    assert approval["title"] == "Deploy sma_crossover on SPX on paper"
    assert "fast 10" in approval["details"]["Parameters"]
    assert [tool["function"]["name"] for tool in asked["tools"]] == ["analysis_request", "ask_back"]
    system, user = asked["messages"]
    assert "- rsi_mean_reversion:" in system["content"]
    assert user["content"] == "Check the SMA thing"
    assert (await frames(turn))[-1]["type"] == "approval"


async def test_its_tokens_are_counted(worker: TestWorker, settings: Any) -> None:
    turn, _ = await understood(worker, settings, calling("analysis_request", WISH))

    (usage,) = await row(turn, "usage")
    assert usage["input_tokens"] == 100


@pytest.mark.parametrize(
    ("reply", "question"),
    [
        (calling("ask_back", {"question": "Which instrument?"}), "Which instrument?"),
        (says("Which one ", "do you mean?"), "Which one do you mean?"),
        (calling("analysis_request", {"symbol": "SPX"}), "Which strategy shall I analyse, and on which instrument?"),
        (
            calling("analysis_request", '{"strategy": "sma_cro'),
            "Which strategy shall I analyse, and on which instrument?",
        ),
        (calling("deploy_strategy", WISH), "Which strategy shall I analyse, and on which instrument?"),
    ],
)
async def test_what_is_not_understood_is_asked(worker: TestWorker, settings: Any, reply: Reply, question: str) -> None:
    turn, _ = await understood(worker, settings, reply)

    assert await row(turn, "state") == ("awaiting_answer",)
    [asked] = [frame for frame in await frames(turn) if frame["type"] == "question"]
    assert asked["text"] == question
    assert "token" not in [frame["type"] for frame in await frames(turn)]


@pytest.mark.usefixtures("models")
async def test_where_a_model_breaks_off_the_next_reads_the_words_anew(worker: TestWorker, settings: Any) -> None:
    """Source: DESIGN section 6: failures fall back. Nobody has seen what the first had begun, so no notice speaks of it."""
    reply = calling("ask_back", {"question": "Which instrument?"})
    async with scripted_server(breaks_off("Let me "), reply) as server:
        reach(settings, server)
        accepted = await say("/analyse Check the SMA thing")
        await run_one(worker)

    found = await frames(accepted.turn)
    assert [frame["model"] for frame in found if frame["type"] == "started"] == ["openai/one", "openai/two"]
    assert [frame["type"] for frame in found if frame["type"] in {"notice", "token", "question"}] == ["question"]
    first, second = server.asked
    assert (first.body["model"], second.body["model"]) == ("one", "two")
    assert second.body["messages"] == first.body["messages"]
    assert second.body["tools"] == first.body["tools"]


@pytest.mark.usefixtures("models")
async def test_when_every_model_fails_the_first_failure_is_told(worker: TestWorker, settings: Any) -> None:
    async with scripted_server(Reply(400)) as server:
        reach(settings, server)
        accepted = await say("/analyse Check the SMA thing")
        await run_one(worker)

    last = (await frames(accepted.turn))[-1]
    assert (last["type"], last["message"]) == ("failed", "OpenAI did not accept the request.")
    assert [asked.body["model"] for asked in server.asked] == ["one", "two", "three"]
