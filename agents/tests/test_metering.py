"""What a turn's model calls use: allowed, set aside, booked. Source: DESIGN section 5."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from accounts.budgets import Estimate, StepKey, budget_of, reserve
from accounts.licences import active_licence_on
from accounts.models import UserLicence
from accounts.usage import UsageLine, usage_of
from agents.conversations import create_conversation
from agents.dead_letters import retry_dead
from agents.errors import Refused
from agents.outbox import batch
from agents.tests.engine import ScriptedBrain, TestWorker, frames, let_retries_be_due, row, say
from agents.turns import cancel_turn
from gateway import db
from gateway.db import connection, conninfo

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users", "pool")]

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC).date()


async def licensed(user: str = "demo-pro", **columns: Any) -> None:
    await UserLicence.objects.filter(user_id=user).aupdate(**columns)


async def running(worker: TestWorker, *, channel: str = "web", conversation: str | None = None) -> str:
    accepted = await say("Hello", channel=channel, conversation=conversation)
    assert await worker.claim() == accepted.turn
    return accepted.turn


async def step(worker: TestWorker, turn: str, *, used: str) -> None:
    await worker.order(turn, "ask", "100")
    await worker.order(turn, "pay", used)


async def ended(worker: TestWorker, turn: str, order: str = "finish") -> None:
    await worker.order(turn, order)
    await worker.done(turn)


async def reserved() -> int:
    return (await budget_of("demo-pro")).tokens_reserved


async def used() -> int:
    return (await budget_of("demo-pro")).tokens_used


async def lines() -> list[UsageLine]:
    return await usage_of("demo-pro", since=LONG_AGO)


async def drop_connections() -> None:
    """As a restart of the database does: each connection of the pool turns out to be broken."""
    async with AsyncExitStack() as stack:
        size = db._pools[asyncio.get_running_loop()].connections.get_stats()["pool_size"]
        held = [await stack.enter_async_context(connection()) for _ in range(size)]
        pids = [conn.info.backend_pid for conn in held]
    async with await psycopg.AsyncConnection.connect(conninfo(), autocommit=True) as conn:
        await conn.execute("SELECT pg_terminate_backend(pid, 1000) FROM unnest(%s::int[]) AS pid", (pids,))


class TestBooking:
    async def test_the_steps_of_a_turn_add_up_by_model_and_channel(self, worker: TestWorker) -> None:
        turn = await running(worker, channel="telegram")
        await step(worker, turn, used="100+20+10")
        await step(worker, turn, used="200+0+5")
        assert await reserved() == 0
        await ended(worker, turn)

        found = await lines()

        assert {(line.model, line.channel, line.turns) for line in found} == {
            ("test/priced", "telegram", 0),
            ("demo/demo", "telegram", 1),
        }
        (line,) = [line for line in found if line.model == "test/priced"]
        assert (line.input_tokens, line.cached_tokens, line.output_tokens, line.tool_calls) == (300, 20, 15, 2)
        assert line.cost_usd == Decimal("0.000315")
        assert await used() == 315

    async def test_a_failed_attempts_tokens_count_and_the_turn_counts_once(self, worker: TestWorker) -> None:
        turn = await running(worker)
        await step(worker, turn, used="100+0+10")
        await worker.order(turn, "fail", "retryable")
        await worker.done(turn)
        await let_retries_be_due()
        await worker.claim()
        await step(worker, turn, used="100+0+10")
        await ended(worker, turn)

        found = await lines()

        assert sum(line.turns for line in found) == 1
        assert sum(line.failed_turns for line in found) == 0
        assert sum(line.input_tokens for line in found) == 200

    async def test_a_dead_turn_that_is_tried_again_counts_once(self, worker: TestWorker) -> None:
        turn = await running(worker)
        for attempt in range(3):
            await worker.order(turn, "fail", "retryable")
            await worker.done(turn)
            await let_retries_be_due()
            if attempt < 2:
                await worker.claim()
        await retry_dead(turn)
        await worker.claim()
        await ended(worker, turn)

        assert await row(turn, "state") == ("done",)
        assert sum(line.turns for line in await lines()) == 1

    async def test_a_cancelled_call_is_booked_by_what_was_heard_of_it(self, worker: TestWorker) -> None:
        """Or each answer stopped before its last word would be free."""
        turn = await running(worker)
        await worker.order(turn, "ask", "100")
        await worker.order(turn, "hear", "x" * 400)
        await worker.order(turn, "say", "Half")
        await cancel_turn(turn, user_id="demo-pro")
        worker.runs[turn][0].cancel()
        await worker.done(turn)

        assert (await used(), await reserved()) == (200, 0)

    async def test_a_call_whose_server_tells_no_usage_is_booked_by_what_was_seen(self, worker: TestWorker) -> None:
        turn = await running(worker)
        await worker.order(turn, "ask", "100")
        await worker.order(turn, "hear", "x" * 400)
        await worker.order(turn, "pay", "0+0+0")
        await ended(worker, turn)

        assert await used() == 200

    async def test_a_call_that_broke_off_is_booked_though_another_model_goes_on(self, worker: TestWorker) -> None:
        turn = await running(worker)
        await worker.order(turn, "ask", "100")
        await worker.order(turn, "hear", "x" * 400)
        await step(worker, turn, used="100+0+10")
        await ended(worker, turn)

        assert (await used(), await reserved()) == (200 + 110, 0)

    async def test_a_failed_call_is_booked_by_what_it_is_known_to_have_taken(self, worker: TestWorker) -> None:
        for took, booked in (("100+20+30", 130), ("0+0+0", 130)):
            turn = await running(worker)
            await worker.order(turn, "ask", "100")
            await worker.order(turn, "lose", took)
            await ended(worker, turn, "fail")
            assert (await used(), await reserved()) == (booked, 0)

    async def test_a_turn_that_goes_back_into_the_queue_leaves_nothing_set_aside(self, worker: TestWorker) -> None:
        turn = await running(worker)
        await worker.order(turn, "ask", "100")
        worker.runs[turn][0].drain()
        await worker.done(turn)

        assert await row(turn, "state") == ("queued",)
        assert await reserved() == 0

    async def test_what_a_stopped_attempt_never_knew_it_had_set_aside_ends_with_its_turn(
        self, worker: TestWorker
    ) -> None:
        """Its commit and the order to stop met: nobody takes the turn over any more once it is cancelled."""
        turn = await running(worker)
        worker.runs[turn][0].drain()
        await worker.done(turn)
        async with connection() as conn, conn.transaction():
            licence = await active_licence_on(conn, "demo-pro")
            await reserve(conn, licence, StepKey(turn, fence=1, step=1), estimate=Estimate(100))
        await cancel_turn(turn, user_id="demo-pro")

        assert (await used(), await reserved()) == (0, 0)

    async def test_what_was_used_is_booked_once_though_the_database_blinks(self, worker: TestWorker) -> None:
        turn = await running(worker)
        await worker.order(turn, "ask", "100")
        await drop_connections()
        await worker.order(turn, "pay", "100+0+10")
        await drop_connections()
        await ended(worker, turn)

        assert (await used(), await reserved()) == (110, 0)
        assert sum(line.turns for line in await lines()) == 1
        assert await row(turn, "state") == ("done",)

    async def test_commands_and_withdrawn_messages_are_no_turns(self) -> None:
        await say("/help")
        withdrawn = await say("Hello")
        await cancel_turn(withdrawn.turn, user_id="demo-pro")

        assert await lines() == []


class TestTakeover:
    async def test_whoever_takes_a_turn_over_releases_what_the_dead_one_had_set_aside(
        self, brain: ScriptedBrain, worker: TestWorker
    ) -> None:
        turn = await running(worker)
        await step(worker, turn, used="100+0+10")
        await worker.order(turn, "ask", "100")
        assert await reserved() > 0
        await worker.die()

        other = await TestWorker(brain).begin()
        assert await other.claim() == turn
        assert await reserved() == 0
        await step(other, turn, used="100+0+10")
        await ended(other, turn)

        assert (await used(), await reserved()) == (220, 0)
        assert sum(line.turns for line in await lines()) == 1

    async def test_a_worker_that_slept_can_set_nothing_aside_and_book_nothing(
        self, brain: ScriptedBrain, worker: TestWorker
    ) -> None:
        turn = await running(worker)
        await worker.order(turn, "ask", "100")
        await worker.lose_lease()
        other = await TestWorker(brain).begin()
        await other.claim()
        await other.order(turn, "ask", "100")
        aside = await reserved()

        await worker.order(turn, "pay", "100+0+10")
        await worker.order(turn, "ask", "100")
        await worker.done(turn)

        assert (await used(), await reserved()) == (0, aside)
        await other.order(turn, "pay", "50+0+5")
        await ended(other, turn)
        assert (await used(), await reserved()) == (55, 0)


class TestRefusals:
    async def test_a_step_that_the_budget_refuses_ends_the_turn_and_keeps_what_was_written(
        self, brain: ScriptedBrain, worker: TestWorker
    ) -> None:
        await licensed(resource_limits={"tokens_per_month": 100})
        turn = await running(worker, channel="telegram")
        await worker.order(turn, "say", "The RSI is 50.")
        await step(worker, turn, used="100+0+10")
        await worker.order(turn, "ask", "100")
        await worker.done(turn)

        last = (await frames(turn))[-1]
        assert (last["type"], last["code"]) == ("failed", "budget_exhausted")
        assert "begins anew on 1 " in last["message"]
        assert brain.stored[turn][-1]["content"] == f"The RSI is 50.\n\n{last['message']}"
        async with batch() as (_, told):
            assert told[-1].payload["content"] == f"The RSI is 50.\n\n{last['message']}"
        assert [frame["type"] for frame in await frames(turn)].count("snapshot") == 0
        (line,) = [line for line in await lines() if line.failed_turns]
        assert (line.model, line.turns) == ("test/priced", 1)

    async def test_a_message_is_refused_once_nothing_is_left(self, worker: TestWorker) -> None:
        await licensed(resource_limits={"tokens_per_month": 100})
        turn = await running(worker)
        await step(worker, turn, used="100+0+10")
        await ended(worker, turn)

        with pytest.raises(Refused) as refused:
            await say("Hello")

        assert refused.value.code == "budget_exhausted"
        assert refused.value.retry_after_s is not None

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"expires_at": datetime(2026, 1, 1, tzinfo=UTC)}, "licence_expired"),
            ({"features": {"models": ["large"]}}, "model_not_available"),
            ({"features": {"channels": ["telegram"]}}, "not_included"),
            ({"resource_limits": {"tokens_per_month": 0}}, "budget_exhausted"),
        ],
    )
    async def test_a_downgrade_lets_the_step_end_and_refuses_the_next(
        self, change: dict[str, Any], code: str, worker: TestWorker
    ) -> None:
        turn = await running(worker)
        await worker.order(turn, "ask", "100")
        await licensed(**change)
        await worker.order(turn, "pay", "100+0+10")
        assert await used() == 110
        await worker.order(turn, "ask", "100")
        await worker.done(turn)

        assert await row(turn, "state", "error_code") == ("failed", code)
        assert (await used(), await reserved()) == (110, 0)

    async def test_twenty_turns_at_once_on_a_nearly_empty_budget_overspend_by_one_step(
        self, worker: TestWorker
    ) -> None:
        """Source: DESIGN section 5: budgets are reserved, so that turns side by side can't overspend."""
        await licensed(resource_limits={"tokens_per_month": 1000, "turns_at_once": None})
        first = await running(worker)
        await step(worker, first, used="900+0+50")
        await ended(worker, first)
        turns = [await running(worker, conversation=(await create_conversation("demo-pro")).id) for _ in range(20)]

        await asyncio.gather(*(worker.order(turn, "ask", "100") for turn in turns))

        left = [turn for turn in turns if not worker.runs[turn][1].done()]
        assert len(left) == 1
        await worker.order(left[0], "pay", "100+0+10")
        await ended(worker, left[0])
        assert await used() == 1060
