"""A review of the paper deployments against the limits that the user has stated.

Source: DESIGN section 1: a workflow is one file.
"""

from typing import Any

import pytest

from accounts.licences import Licence
from agents.mcp.pool import pool as connections
from agents.schedules.rows import TaskSpec, Where, add_task
from agents.schedules.rules import Rule, zone_of
from agents.schedules.tasks import run_due
from agents.tests.doubles.http_server import scripted_server
from agents.tests.engine import TestWorker, frames, say
from agents.tests.talks import breaks_off, reach, says
from agents.tests.workflows import RealBrain, run_one
from agents.workflows.portfolio_review import _account
from gateway.db import connection
from gateway.ids import new_id

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users", "pool")]
DEPLOYMENT = {
    "id": "d1", "strategy": "sma", "version": 1, "symbols": ["SPX", "IXIC"], "since": "2018-01-01", "last_bar": "2018-12-31",
    "equity": 80_000.0, "return_percent": -20.0, "last_error": None,
    "positions": [{"symbol": "SPX", "value": 60_000.0}, {"symbol": "IXIC", "value": -20_000.0}],
}  # fmt: skip


@pytest.fixture
async def worker(mine: Licence) -> TestWorker:
    return await TestWorker(RealBrain()).begin()


async def conversation_model(conversation: str) -> str:
    async with connection() as conn:
        cursor = await conn.execute("SELECT model FROM conversations WHERE id = %s", (conversation,))
        found = await cursor.fetchone()
    assert found is not None
    return str(found[0])


async def deploy(licence: Licence) -> None:
    arguments = {"strategy": "sma_crossover", "symbol": "SPX", "idempotency_key": new_id()}
    assert not (await connections().session(licence).call_tool("deploy_strategy", arguments)).failed


async def test_without_deployments_there_is_nothing_to_review(worker: TestWorker) -> None:
    accepted = await say("How is my portfolio?")
    await run_one(worker)

    assert "No strategy is deployed" in (await frames(accepted.turn))[-1]["content"]


async def test_on_a_schedule_it_sums_up_what_runs(worker: TestWorker, mine: Licence) -> None:
    await deploy(mine)
    zone = zone_of("UTC")
    assert zone is not None
    async with connection() as conn, conn.transaction():
        spec = TaskSpec(Rule("daily", 8, 0), zone, "portfolio review")
        task = await add_task(conn, mine, spec, where=Where("web", {}))
    assert await run_due(now=task.due_at)

    turn = await run_one(worker)

    found = await frames(turn)
    assert found[-1]["type"] == "done"
    assert "**1 strategy runs on paper" in found[-1]["content"]
    assert "| sma_crossover | SPX |" in found[-1]["content"]
    assert [frame["tool"] for frame in found if frame["type"] == "tool_call"] == ["list_deployments", "get_preferences"]
    assert found[-1]["model"] == "demo/demo"
    assert found[-1]["usage"]["input_tokens"] > 0


@pytest.mark.usefixtures("models")
async def test_a_summary_that_breaks_off_is_gone_on_with_before_the_users_eyes(
    worker: TestWorker, mine: Licence, settings: Any
) -> None:
    """Source: DESIGN section 6: a stream cut after tokens were shown continues once. Both models' tokens are paid for."""
    await deploy(mine)
    async with scripted_server(breaks_off("Your port"), says("folio is fine.")) as server:
        reach(settings, server)
        accepted = await say("How is my portfolio?")
        await run_one(worker)

    found = await frames(accepted.turn)
    assert (found[-1]["content"], found[-1]["model"]) == ("Your portfolio is fine.", "openai/two")
    assert [frame["text"] for frame in found if frame["type"] == "notice"] == [
        "The answer from OpenAI broke off. openai/two goes on from here."
    ]
    assert found[-1]["usage"]["cost_usd"] == pytest.approx((40 * 4.0 + 60 * 0.4 + 5 * 16.0) / 1e6)
    assert await conversation_model(accepted.conversation) == "openai/one"


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({}, []),
        ({"max_position_percent": 50}, ["The largest position is 75.0 % of the account; your limit is 50 %."]),
        ({"max_drawdown_percent": 15}, ["The account has lost 20.0 %; your limit is 15 %."]),
        ({"max_leverage": 0.9}, ["Positions are 1.00 times the account; your limit is 0.9 times."]),
        ({"max_position_percent": 80, "max_drawdown_percent": 25, "max_leverage": 1.0}, []),
    ],
)
def test_each_stated_limit_is_judged_by_arithmetic(limits: dict[str, float], words: list[str]) -> None:
    assert _account(DEPLOYMENT, limits)["limits"] == words
