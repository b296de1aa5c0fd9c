"""How much a user may do at once and in a time. Source: DESIGN sections 2 and 5."""

import asyncio
from typing import Any

import pytest

from accounts.models import UserLicence
from agents.conversations import create_conversation
from agents.errors import Refused
from agents.tests.engine import ScriptedBrain, TestWorker, answer, frames, row, say, types
from agents.turns import Accepted, cancel_turn
from gateway.db import connection

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users", "pool")]


async def limit(user: str = "demo-pro", **limits: Any) -> None:
    await UserLicence.objects.filter(user_id=user).aupdate(resource_limits=limits)


async def open_features(user: str = "demo-pro", **features: Any) -> None:
    await UserLicence.objects.filter(user_id=user).aupdate(features=features)


async def refusal(content: str = "Hello", **how: Any) -> Refused:
    with pytest.raises(Refused) as refused:
        await say(content, **how)
    return refused.value


async def turns_of(user: str = "demo-pro") -> int:
    async with connection() as conn:
        found = await (await conn.execute("SELECT count(*) FROM turns WHERE user_id = %s", (user,))).fetchone()
    return int(found[0]) if found else 0


class TestMessages:
    async def test_fifty_at_once_over_three_channels_and_many_conversations_get_ten_through(self) -> None:
        """In one process; the end-to-end tests have it over three."""
        await limit(messages_per_minute=10)
        homes = [None, *[(await create_conversation("demo-pro")).id for _ in range(4)]]
        sent = [
            say("Hello", channel=("web", "telegram", "api")[number % 3], conversation=homes[number % 5])
            for number in range(50)
        ]

        results = await asyncio.gather(*sent, return_exceptions=True)

        assert sum(isinstance(result, Accepted) for result in results) == 10
        assert {result.code for result in results if isinstance(result, Refused)} == {"rate_limited"}
        assert await turns_of() == 10

    async def test_a_refusal_says_when_the_next_may_be_sent(self) -> None:
        await limit(messages_per_minute=1)
        await say("one")

        refused = await refusal()

        assert refused.retry_after_s is not None
        assert 50 <= refused.retry_after_s <= 60
        assert "1 message a minute" in refused.message
        assert [window.name for window in refused.windows if window.full] == ["minute"]

    async def test_a_message_sent_again_uses_nothing_and_is_never_refused(self) -> None:
        await limit(messages_per_minute=1)
        first = await say("Hello", external="1")

        assert (await say("Hello", external="1")).turn == first.turn

    async def test_the_same_message_fifty_times_at_once_uses_one(self) -> None:
        await limit(messages_per_minute=2)

        results = await asyncio.gather(*(say("Hello", channel="telegram", external="7:1") for _ in range(50)))

        assert len({accepted.turn for accepted in results}) == 1
        await say("another")
        await refusal("a third")

    async def test_commands_use_no_quota_and_work_at_the_limit(self) -> None:
        await limit(messages_per_minute=1)
        for _ in range(3):
            await say("/help")
        await say("one")
        await refusal("two")

        assert "1 of 1" in (await frames((await say("/usage")).turn))[-1]["content"]

    async def test_a_message_that_is_refused_for_another_reason_uses_nothing(self) -> None:
        await limit(messages_per_minute=1)
        for _ in range(3):
            await refusal(conversation="0199aaaa-0000-7000-8000-000000000000")

        await say("Hello")

    async def test_the_filled_windows_come_with_the_acceptance(self) -> None:
        accepted = await say("Hello")

        assert [(window.name, window.limit, window.used) for window in accepted.windows] == [
            ("minute", 60, 1),
            ("day", 2000, 1),
        ]


class TestTurnsAtOnce:
    async def test_a_turn_waits_for_a_slot_and_is_told_so(self, worker: TestWorker) -> None:
        await limit(turns_at_once=1)
        first = await say("one")
        await worker.claim()
        second = await say("two", conversation=(await create_conversation("demo-pro")).id)

        assert await worker.claim() is None
        assert (await types(second.turn))[-1] == "notice"
        await worker.order(first.turn, "finish")
        await worker.done(first.turn)
        assert await worker.claim() == second.turn

    async def test_other_users_do_not_wait(self, worker: TestWorker) -> None:
        await limit(turns_at_once=1)
        for _ in range(2):
            await say("mine", conversation=(await create_conversation("demo-pro")).id)
        await worker.claim()
        theirs = await say("theirs", user="demo-free")

        assert await worker.claim() == theirs.turn

    async def test_two_workers_never_give_the_same_slot_away(self, brain: ScriptedBrain, worker: TestWorker) -> None:
        await limit(turns_at_once=3)
        for _ in range(12):
            await say("Hello", conversation=(await create_conversation("demo-pro")).id)
        workers = [worker, *[await TestWorker(brain).begin() for _ in range(3)]]

        claimed = await asyncio.gather(*(each.claim() for each in workers for _ in range(3)))

        assert sum(turn is not None for turn in claimed) == 3

    async def test_a_turn_that_is_taken_over_keeps_its_slot(self, brain: ScriptedBrain, worker: TestWorker) -> None:
        """Also when the licence allows fewer meanwhile, or all of them would wait for each other."""
        running = [await say("Hello", conversation=(await create_conversation("demo-pro")).id) for _ in range(3)]
        for _ in running:
            await worker.claim()
        waiting = await say("Hello", conversation=(await create_conversation("demo-pro")).id)
        await limit(turns_at_once=1)
        await worker.die()

        other = await TestWorker(brain).begin()

        assert {await other.claim() for _ in running} == {accepted.turn for accepted in running}
        assert await other.claim() is None
        for accepted in running:
            await other.order(accepted.turn, "finish")
            await other.done(accepted.turn)
        assert await other.claim() == waiting.turn

    async def test_without_a_limit_all_run(self, worker: TestWorker) -> None:
        await limit(turns_at_once=None)
        for _ in range(6):
            await say("Hello", conversation=(await create_conversation("demo-pro")).id)

        assert None not in [await worker.claim() for _ in range(6)]

    @pytest.mark.parametrize("damage", [{"turns_at_once": "many"}, [1], "x"])
    async def test_a_licence_that_cannot_be_read_does_not_stop_the_queue(self, damage: Any, worker: TestWorker) -> None:
        accepted = await say("Hello")
        await UserLicence.objects.filter(user_id="demo-pro").aupdate(resource_limits=damage)

        assert await worker.claim() == accepted.turn
        await worker.done(accepted.turn)
        assert await row(accepted.turn, "state", "error_code") == ("failed", "no_licence")

    async def test_a_turn_without_a_licence_runs_to_be_told_so(self, worker: TestWorker) -> None:
        accepted = await say("Hello")
        await UserLicence.objects.filter(user_id="demo-pro").adelete()

        assert await worker.claim() == accepted.turn
        await worker.done(accepted.turn)
        assert await row(accepted.turn, "error_code") == ("no_licence",)

    async def test_who_may_run_nothing_is_refused_at_once(self) -> None:
        await limit(turns_at_once=0)

        assert (await refusal()).code == "not_included"


class TestChannels:
    async def test_a_channel_that_the_licence_does_not_open_is_refused(self) -> None:
        await open_features(channels=["web"])

        refused = await refusal(channel="telegram")

        assert refused.code == "not_included"
        assert "Telegram" in refused.message
        assert await turns_of() == 0
        await say("Hello", channel="web")

    async def test_its_commands_are_refused_as_well(self) -> None:
        await open_features(channels=["telegram"])

        assert (await refusal("/status", channel="web")).code == "not_included"


async def test_a_cancelled_turn_frees_its_slot(worker: TestWorker) -> None:
    await limit(turns_at_once=1)
    first = await say("one")
    await worker.claim()
    second = await say("two", conversation=(await create_conversation("demo-pro")).id)
    await cancel_turn(first.turn, user_id="demo-pro")
    worker.runs[first.turn][0].cancel()
    await worker.done(first.turn)

    assert await worker.claim() == second.turn
    await answer_running(worker, second.turn)


async def answer_running(worker: TestWorker, turn: str) -> None:
    await worker.order(turn, "finish")
    await worker.done(turn)
    assert (await row(turn, "state")) == ("done",)


async def test_a_conversation_goes_on_at_a_cap_of_one(worker: TestWorker) -> None:
    await limit(turns_at_once=1)
    for _ in range(3):
        await say("Hello")

    for _ in range(3):
        await answer(worker, "Hi")
