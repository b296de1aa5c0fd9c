"""An analysis whose worker is killed at each named point of it: it goes on, asks once, deploys once.

Source: DESIGN section 6; the points are those of agents/workflow_points.py.
"""

import asyncio
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from accounts.licences import Licence
from agents.dead_letters import retry_dead
from agents.queue import MAX_ATTEMPTS
from agents.tests.engine import TestWorker, frames, row, say
from agents.tests.workflows import (
    RealBrain,
    answer_question,
    deployments,
    killed_at,
    pending_approval,
    run_one,
    settle,
    text_of,
)
from agents.workflows.trading_analysis import WORKFLOW
from gateway.db import connection

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users", "pool")]
POINTS = (
    "understand.begin", "understand.end", "check.begin", "check.end", "backtest.begin", "backtest.end", "risk.begin",
    "risk.end", "approval.begin",
)  # fmt: skip
UNCLEAR = ("clarify.begin", "clarify.end")
AFTER_YES = ("approval.begin", "approval.end", "deploy.begin", "deploy.call", "deploy.end")


@pytest.fixture
def real() -> RealBrain:
    return RealBrain()


@pytest.fixture
async def worker(real: RealBrain, mine: Licence) -> TestWorker:
    return await TestWorker(real).begin()


def test_every_point_of_the_analysis_is_here() -> None:
    steps = [step.__name__ for step in WORKFLOW.steps]

    assert {*POINTS, *UNCLEAR, *AFTER_YES} == {f"{step}.{end}" for step in steps for end in ("begin", "end")} | {
        "deploy.call"
    }


@pytest.mark.parametrize("point", UNCLEAR)
async def test_killed_while_it_asks_what_is_meant_it_goes_on_and_asks_once(
    real: RealBrain, worker: TestWorker, mine: Licence, point: str
) -> None:
    accepted = await say("/analyse something on SPX")
    if point == "clarify.begin":
        await killed_at(point, brain=real)
    await run_one(worker)
    assert await row(accepted.turn, "state") == ("awaiting_answer",)
    await answer_question(accepted.turn, "the sma_crossover on SPX")
    await killed_at(point, brain=real)
    await run_one(worker)

    await pending_approval(accepted.turn)
    assert [frame["type"] for frame in await frames(accepted.turn)].count("question") == 1


@pytest.mark.parametrize("point", POINTS)
async def test_killed_before_the_user_was_asked_it_goes_on_and_asks_once(
    real: RealBrain, worker: TestWorker, mine: Licence, point: str
) -> None:
    accepted = await say("/analyse sma_crossover on SPX")
    await killed_at(point, brain=real)
    await run_one(worker)

    await pending_approval(accepted.turn)
    found = await frames(accepted.turn)
    assert [frame["type"] for frame in found].count("approval") == 1
    assert text_of(found).count("**Risk:**") == text_of(found).count("trades, fees and slippage paid") == 1


@pytest.mark.parametrize("point", AFTER_YES)
async def test_killed_after_the_yes_it_goes_on_and_deploys_once(
    real: RealBrain, worker: TestWorker, mine: Licence, point: str
) -> None:
    before = {each["id"] for each in await deployments(mine)}
    accepted = await say("/analyse sma_crossover on SPX")
    await run_one(worker)
    await settle(accepted.turn)

    await killed_at(point, brain=real)
    await run_one(worker)

    assert len({each["id"] for each in await deployments(mine)} - before) == 1
    found = await frames(accepted.turn)
    assert found[-1]["type"] == "done"
    assert text_of(found) == found[-1]["content"]
    assert found[-1]["content"].count("**Deployed:**") == found[-1]["content"].count("You approved it") == 1


async def test_killed_twice_and_in_different_places_it_deploys_once(
    real: RealBrain, worker: TestWorker, mine: Licence
) -> None:
    before = {each["id"] for each in await deployments(mine)}
    accepted = await say("/analyse sma_crossover on SPX")
    for point in ("backtest.end", "risk.begin"):
        await killed_at(point, brain=real)
    await run_one(worker)
    await settle(accepted.turn)
    for point in ("deploy.call", "deploy.end"):
        await killed_at(point, brain=real)
    await run_one(worker)

    assert len({each["id"] for each in await deployments(mine)} - before) == 1


async def test_a_dead_analysis_that_staff_has_tried_again_asks_anew(
    real: RealBrain, worker: TestWorker, mine: Licence
) -> None:
    """An old yes is none to what is tried again, however far the workflow had come."""
    before = {each["id"] for each in await deployments(mine)}
    turn = (await say("/analyse sma_crossover on SPX")).turn
    await run_one(worker)
    await settle(turn)
    for _ in range(MAX_ATTEMPTS):
        await killed_at("deploy.begin", brain=real)
    await run_one(worker)
    assert await row(turn, "dead") == (True,)

    await retry_dead(turn)
    await run_one(worker)
    assert await row(turn, "state") == ("awaiting_approval",)
    assert {each["id"] for each in await deployments(mine)} == before

    await settle(turn)
    await run_one(worker)
    assert await row(turn, "state") == ("done",)
    assert len({each["id"] for each in await deployments(mine)} - before) == 1


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("point", [*POINTS, *AFTER_YES[1:]])
async def test_a_process_that_is_killed_at_any_point_is_gone_on_for(
    real: RealBrain, worker: TestWorker, mine: Licence, settings: Any, point: str
) -> None:
    """kill -9 of a real process, which nothing in it outlives: no `finally`, no transaction, no connection."""
    before = {each["id"] for each in await deployments(mine)}
    turn = (await say("/analyse sma_crossover on SPX")).turn
    if point in AFTER_YES[1:]:
        await run_one(worker)
        await settle(turn)
    assert await asyncio.to_thread(_killed, point, settings) == -signal.SIGKILL
    async with connection() as conn:
        await conn.execute("UPDATE worker_leases SET expires_at = '2000-01-01' WHERE id <> %s", (worker.id,))
    await run_one(worker)
    if point in POINTS:
        await settle(turn)
        await run_one(worker)

    assert await row(turn, "state", "dead") == ("done", False)
    assert len({each["id"] for each in await deployments(mine)} - before) == 1


def _killed(point: str, settings: Any) -> int:
    database = settings.DATABASES["default"]
    where = f"{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    ran = subprocess.run(
        [sys.executable, "-m", "agents.tests.killed_worker", point],
        cwd=settings.BASE_DIR,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "gateway.settings",
            "DATABASE_URL": f"postgresql://{where}",
            "DATA_DIR": str(settings.DATA_DIR),
            "MCP_SERVER_URL_ALLOWLIST": ",".join(settings.MCP_SERVER_URL_ALLOWLIST),
            "WORKSPACE_SIGNING_KEY": settings.WORKSPACE_SIGNING_KEY,
            "SECRET_KEY": settings.SECRET_KEY,
            "DEBUG": "true",
        },
        capture_output=True,
        timeout=120,
        check=False,
    )
    return ran.returncode
