"""A trading analysis from the user's words to the deployment, which happens once and only after a yes.

Source: DESIGN sections 2 and 6: kill -9 at each named point of the workflow.
"""

import asyncio
from datetime import UTC, date, datetime

import pytest
from asgiref.sync import sync_to_async
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

from accounts.licences import Licence, LicenceChange, set_licence
from accounts.usage import usage_of
from agents.busy import set_policy
from agents.charts import read_chart
from agents.errors import FenceLost, Refused
from agents.queue import claim_next
from agents.tests.engine import TestWorker, frames, row, say, types
from agents.tests.workflows import (
    RealBrain,
    answer_question,
    checkpoints,
    deployments,
    pending_approval,
    run_one,
    settle,
    text_of,
)
from agents.turns import cancel_turn
from agents.waits import expire_waits
from agents.workflow_checkpoints import FencedSaver, thread
from agents.workflow_runs import erase_ended
from gateway.db import connection

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users", "pool")]


@pytest.fixture
def real() -> RealBrain:
    return RealBrain()


@pytest.fixture
async def worker(real: RealBrain, mine: Licence) -> TestWorker:
    return await TestWorker(real).begin()


async def test_an_analysis_that_is_approved_is_deployed_and_says_so(
    real: RealBrain, worker: TestWorker, mine: Licence
) -> None:
    before = len(await deployments(mine))
    accepted = await say("/analyse sma_crossover on SPX since 2010 with fast=20")
    await run_one(worker)
    assert await row(accepted.turn, "state") == ("awaiting_approval",)
    assert len(await deployments(mine)) == before

    await settle(accepted.turn)
    await run_one(worker)

    found = await frames(accepted.turn)
    done = found[-1]
    assert done["type"] == "done", done
    assert "**Deployed:** sma_crossover on SPX" in done["content"]
    assert text_of(found) == done["content"]
    tools = [frame["tool"] for frame in found if frame["type"] == "tool_call"]
    assert tools == ["list_strategies", "get_strategy", "run_backtest", "assess_risk", "deploy_strategy"]
    assert sum(line.tool_calls for line in await usage_of("demo-pro", since=date(2020, 1, 1))) == len(tools)
    [made] = (await deployments(mine))[: len(await deployments(mine)) - before]
    assert (made["strategy"], made["symbols"], made["params"]["fast"]) == ("sma_crossover", ["SPX"], 20)
    kept = real.stored[accepted.turn][-1]
    assert kept["content"] == done["content"]
    [image] = [frame for frame in await frames(accepted.turn) if frame["type"] == "image"]
    assert kept["images"] == [{"url": image["url"], "alt": image["alt"]}]


async def test_its_chart_is_read_from_the_users_workspace(worker: TestWorker, mine: Licence) -> None:
    accepted = await say("/analyse sma_crossover on SPX")
    await run_one(worker)

    [image] = [frame for frame in await frames(accepted.turn) if frame["type"] == "image"]
    backtest = image["url"].split("/")[-2]
    assert (await read_chart(mine, backtest)).startswith(b"\x89PNG")
    for missing in ("bt-" + "0" * 16, "../secret", "bt-"):
        with pytest.raises(Refused, match="no such chart"):
            await read_chart(mine, missing)


async def test_the_agent_starts_it_by_itself_and_its_words_stay(
    real: RealBrain, worker: TestWorker, mine: Licence
) -> None:
    accepted = await say("Please deploy the SMA crossover on SPX")
    await run_one(worker)
    assert await row(accepted.turn, "state") == ("awaiting_approval",)
    await settle(accepted.turn)
    await run_one(worker)

    stored = real.stored[accepted.turn]
    assert [message["role"] for message in stored] == ["user", "assistant", "tool", "assistant"]
    assert stored[1]["tool_calls"][0]["name"] == "trading_analysis"
    assert stored[2]["tool_call_id"] == stored[1]["tool_calls"][0]["id"]
    assert "**Deployed:**" in stored[3]["content"]


async def test_the_next_turn_reads_a_history_that_holds_a_workflow(worker: TestWorker, mine: Licence) -> None:
    accepted = await say("Please deploy the SMA crossover on SPX")
    await run_one(worker)
    await settle(accepted.turn, "reject")
    await run_one(worker)

    after = await say("What did I ask you before?")
    await run_one(worker)

    assert "SMA crossover" in (await frames(after.turn))[-1]["content"]


async def test_what_is_approved_is_bound_to_what_was_tested(worker: TestWorker, mine: Licence) -> None:
    accepted = await say("/analyse sma_crossover on SPX")
    await run_one(worker)

    approval = await pending_approval(accepted.turn)

    for part in ("strategy_version_digest", "risk_result", '"symbol":"SPX"', accepted.turn):
        assert part in approval["covered"]
    assert approval["title"] == "Deploy sma_crossover on SPX on paper"
    assert approval["details"]["Money"].startswith("paper only")


@pytest.mark.parametrize(("choice", "words"), [("reject", "You rejected it"), ("expire", "Nobody approved it in time")])
async def test_without_a_yes_nothing_is_deployed_and_it_says_so(
    worker: TestWorker, mine: Licence, choice: str, words: str
) -> None:
    before = len(await deployments(mine))
    accepted = await say("/analyse sma_crossover on SPX")
    await run_one(worker)
    if choice == "expire":
        async with connection() as conn:
            await conn.execute("UPDATE approvals SET expires_at = clock_timestamp()")
        assert await expire_waits() == 1
    else:
        await settle(accepted.turn, choice)

    await run_one(worker)

    done = (await frames(accepted.turn))[-1]
    assert done["type"] == "done"
    assert words in done["content"]
    assert "nothing was deployed" in done["content"]
    assert len(await deployments(mine)) == before


async def test_a_cancelled_analysis_deploys_nothing(worker: TestWorker, mine: Licence) -> None:
    before = len(await deployments(mine))
    accepted = await say("/analyse sma_crossover on SPX")
    await run_one(worker)

    await cancel_turn(accepted.turn, user_id="demo-pro")

    assert (await types(accepted.turn))[-1] == "cancelled"
    assert await worker.claim() is None
    assert len(await deployments(mine)) == before


async def test_a_user_who_stops_it_while_it_deploys_hears_what_came_of_it(worker: TestWorker, mine: Licence) -> None:
    before = len(await deployments(mine))
    accepted = await say("/analyse sma_crossover on SPX")
    await run_one(worker)
    await settle(accepted.turn)
    assert await worker.claim() == accepted.turn
    run, task = worker.runs[accepted.turn]
    async with asyncio.timeout(30):
        while "deploy_strategy" not in [frame.get("tool") for frame in await frames(accepted.turn)]:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        run.cancel()
        await task

    last = (await frames(accepted.turn))[-1]
    deployed = len(await deployments(mine)) - before
    assert deployed in {0, 1}
    assert ("**Deployed:**" in last["content"]) is bool(deployed), last


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (LicenceChange(features={"deploy": False}), "does not include deploying strategies"),
        (LicenceChange(features={"workflows": []}), "does not include the workflow trading_analysis"),
        (LicenceChange(expires_at=datetime(2020, 1, 1, tzinfo=UTC)), "licence has expired"),
    ],
)
async def test_a_licence_that_goes_while_the_user_decides_deploys_nothing(
    worker: TestWorker, mine: Licence, change: LicenceChange, words: str
) -> None:
    before = len(await deployments(mine))
    accepted = await say("/analyse sma_crossover on SPX")
    await run_one(worker)
    await settle(accepted.turn)

    await sync_to_async(set_licence)("demo-pro", change)
    await run_one(worker)

    last = (await frames(accepted.turn))[-1]
    assert words in (last.get("message") or last["content"])
    assert len(await deployments(mine)) == before


async def test_without_the_feature_deploy_the_analysis_ends_with_the_risk(worker: TestWorker, mine: Licence) -> None:
    await sync_to_async(set_licence)("demo-pro", LicenceChange(features={"deploy": False}))
    accepted = await say("/analyse sma_crossover on SPX")
    await run_one(worker)

    done = (await frames(accepted.turn))[-1]
    assert done["type"] == "done"
    assert "**Risk:**" in done["content"]
    assert "does not include deploying strategies" in done["content"]


async def test_without_the_workflow_the_command_is_refused_and_the_agent_has_no_such_tool(
    worker: TestWorker, mine: Licence
) -> None:
    await sync_to_async(set_licence)("demo-pro", LicenceChange(features={"workflows": ["portfolio_review"]}))
    with pytest.raises(Refused, match="does not include the workflow trading_analysis") as refusal:
        await say("/analyse sma_crossover on SPX")
    assert refusal.value.code == "not_included"

    accepted = await say("Please deploy the SMA crossover on SPX")
    await run_one(worker)

    assert await row(accepted.turn, "state") == ("done",)
    called = [frame["tool"] for frame in await frames(accepted.turn) if frame["type"] == "tool_call"]
    assert "trading_analysis" not in called


async def test_what_is_not_clear_is_asked(worker: TestWorker, mine: Licence) -> None:
    accepted = await say("/analyse something on SPX")
    await run_one(worker)
    assert await row(accepted.turn, "state") == ("awaiting_answer",)
    [asked] = [frame for frame in await frames(accepted.turn) if frame["type"] == "question"]
    assert "Which strategy" in asked["text"]

    await answer_question(accepted.turn, "the sma_crossover on SPX")
    await run_one(worker)

    assert (await pending_approval(accepted.turn))["title"] == "Deploy sma_crossover on SPX on paper"


async def test_a_strategy_that_is_not_there_is_asked_for(worker: TestWorker, mine: Licence) -> None:
    accepted = await say("/analyse my_secret_sauce on SPX")
    await run_one(worker)

    [asked] = [frame for frame in await frames(accepted.turn) if frame["type"] == "question"]
    assert "my_secret_sauce" in asked["text"]


async def test_a_backtest_that_is_refused_ends_it_with_the_reason(worker: TestWorker, mine: Licence) -> None:
    accepted = await say("/analyse sma_crossover on NOTHING")
    await run_one(worker)

    done = (await frames(accepted.turn))[-1]
    assert done["type"] == "done"
    assert "could not be run" in done["content"]


async def test_an_analysis_joins_no_answer_that_is_being_written(worker: TestWorker, mine: Licence) -> None:
    """Whatever its user's policy for messages during an answer says, it has steps of its own to take."""
    async with connection() as conn:
        await set_policy(conn, "demo-pro", "steer")
    first = await say("RSI of SPX over the last 252 bars?")
    assert await claim_next(worker.id) is not None

    accepted = await say("/analyse sma_crossover on SPX")

    assert await row(accepted.turn, "steers", "state") == (False, "queued")
    assert first.turn != accepted.turn


async def test_its_checkpoints_are_gone_once_the_turn_is_over(worker: TestWorker, mine: Licence) -> None:
    accepted = await say("/analyse sma_crossover on SPX")
    await run_one(worker)
    await erase_ended()
    assert await checkpoints(accepted.turn) > 0

    await settle(accepted.turn, "reject")
    await run_one(worker)
    await erase_ended()

    async with connection() as conn:
        for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes", "workflow_runs"):
            cursor = await conn.execute(f"SELECT count(*) FROM {table}")
            assert await cursor.fetchone() == (0,), table


async def test_a_worker_that_slept_can_keep_no_checkpoint(real: RealBrain, worker: TestWorker, mine: Licence) -> None:
    """Source: DESIGN section 2: a worker that slept can write no more."""
    accepted = await say("/analyse sma_crossover on SPX")
    fence = (await row(accepted.turn, "fence"))[0]
    stale = FencedSaver(accepted.turn, fence=fence)

    with pytest.raises(FenceLost):
        await stale.aget_tuple(thread(accepted.turn, steps=1))


async def test_the_tables_are_those_that_the_installed_checkpointer_makes(pool: None) -> None:
    async with connection() as conn:
        columns = await (
            await conn.execute(
                "SELECT table_name, string_agg(column_name, ',' ORDER BY column_name) FROM information_schema.columns"
                " WHERE table_schema = 'public' AND table_name LIKE 'checkpoint%' GROUP BY 1 ORDER BY 1"
            )
        ).fetchall()
        await conn.execute("CREATE SCHEMA theirs")
        await conn.execute("SET search_path TO theirs")
        try:
            saver = AsyncPostgresSaver(conn=conn)
            await saver.setup()
            theirs = await (
                await conn.execute(
                    "SELECT table_name, string_agg(column_name, ',' ORDER BY column_name) FROM information_schema.columns"
                    " WHERE table_schema = 'theirs' GROUP BY 1 ORDER BY 1"
                )
            ).fetchall()
        finally:
            await conn.execute("SET search_path TO public")
            await conn.execute("DROP SCHEMA theirs CASCADE")

    assert columns == theirs
