"""What a message does to the answer that is being written when it comes.

Source: DESIGN.md, section 2: busy policy for a message during a run: queue, interrupt, steer, reject.
"""

import asyncio
from typing import Any

import pytest

from agents.busy import QUEUE_CAP
from agents.errors import Refused
from agents.harness_types import Said
from agents.journal import clear_memory
from agents.outbox import batch
from agents.tests.engine import TestWorker, answer, frames, row, say, types
from agents.turns import cancel_turn
from gateway.db import connection

pytestmark = pytest.mark.django_db(transaction=True)


async def running(worker: TestWorker, content: str = "First", **how: Any) -> str:
    accepted = await say(content, **how)
    assert await worker.claim() == accepted.turn
    return accepted.turn


async def count(table: str) -> int:
    async with connection() as conn:
        found = await (await conn.execute(f"SELECT count(*) FROM {table}")).fetchone()
    assert found is not None
    return int(found[0])


async def test_a_message_that_must_not_wait_is_refused_and_uses_nothing(worker: TestWorker) -> None:
    await running(worker)
    used = await count("accepted_messages")
    with pytest.raises(Refused) as refused:
        await say("Second", when_busy="reject")

    assert refused.value.code == "busy"
    assert (await count("turns"), await count("accepted_messages")) == (1, used)


async def test_when_nothing_runs_a_policy_changes_nothing(worker: TestWorker) -> None:
    accepted = [
        await say("Hello", when_busy=policy, user=user)
        for policy, user in (("reject", "demo-pro"), ("steer", "demo-free"))
    ]

    assert [each.position for each in accepted] == [0, 0]
    assert await types(accepted[0].turn) == ["user_message"]


async def test_an_interruption_stops_what_runs_and_what_waits_and_comes_next(worker: TestWorker) -> None:
    first = await running(worker)
    await worker.order(first, "say", "Half an")
    second = await say("Second")
    third = await say("Third", when_busy="interrupt")
    worker.runs[first][0].cancel()
    await worker.done(first)

    assert (third.position, await worker.claim()) == (1, third.turn)
    assert await types(second.turn) == ["user_message", "queued", "cancelled"]
    assert (await frames(first))[-1]["content"] == "Half an"


async def test_an_interruption_that_comes_twice_does_not_stop_itself(worker: TestWorker) -> None:
    await running(worker)
    both = await asyncio.gather(*(say("Second", external="one", when_busy="interrupt") for _ in range(5)))

    assert len({accepted.turn for accepted in both}) == 1
    assert await row(both[0].turn, "state", "cancel_requested") == ("queued", False)


async def test_a_message_joins_the_answer_before_its_next_step_and_ends_with_it(worker: TestWorker) -> None:
    first = await running(worker)
    second = await say("In weeks, please", when_busy="steer")
    worker.runs[first][0].steer()
    await worker.order(first, "look")
    await worker.order(first, "say", "In weeks: 42.")
    await worker.order(first, "finish")
    await worker.done(first)

    assert worker.brain.joined[first] == [Said("In weeks, please", "web")]
    assert await types(second.turn) == ["user_message", "queued", "notice", "done"]
    assert [frame["seq"] for frame in await frames(second.turn)] == [1, 2, 3, 4]
    assert await row(second.turn, "state", "holder", "last_seq", "metered") == ("done", None, 4, True)
    assert await worker.claim() is None


async def test_what_comes_after_the_last_step_is_answered_by_itself(worker: TestWorker) -> None:
    first = await running(worker)
    second = await say("And in weeks?", when_busy="steer")
    await worker.order(first, "finish")
    await worker.done(first)

    assert await answer(worker, "In weeks: 42.") == second.turn


async def test_where_the_answer_does_not_go_anyway_it_is_told(worker: TestWorker) -> None:
    first = await running(worker)
    await say("In weeks, please", when_busy="steer", channel="telegram")
    await say("And in days", when_busy="steer")
    worker.runs[first][0].steer()
    for order, text in (("look", ""), ("say", "42."), ("finish", "")):
        await worker.order(first, order, text)
    await worker.done(first)

    async with batch() as (_, told):
        assert [(each.channel, each.kind, each.payload) for each in told] == [("telegram", "done", {"content": "42."})]


async def test_a_worker_that_takes_over_finds_what_has_joined(worker: TestWorker) -> None:
    first = await running(worker)
    second = await say("In weeks, please", when_busy="steer")
    worker.runs[first][0].steer()
    await worker.order(first, "look")
    await worker.die()
    other = await TestWorker(worker.brain).begin()
    worker.brain.joined.clear()
    assert await other.claim() == first
    await other.order(first, "look")
    await other.order(first, "finish")
    await other.done(first)

    assert worker.brain.joined[first] == [Said("In weeks, please", "web")]
    assert (await types(second.turn))[-1] == "done"


async def test_what_joined_a_turn_that_fails_or_is_stopped_ends_as_it_does(worker: TestWorker) -> None:
    for order, end in (("fail", "failed"), ("stop", "cancelled")):
        first = await running(worker)
        second = await say("In weeks, please", when_busy="steer")
        worker.runs[first][0].steer()
        await worker.order(first, "look")
        if order == "stop":
            worker.runs[first][0].cancel()
        else:
            await worker.order(first, "fail")
        await worker.done(first)

        assert (await types(second.turn))[-1] == end
        stored = worker.brain.stored[first]
        assert [message["content"] for message in stored if message["role"] == "user"] == ["First", "In weeks, please"]


async def test_the_end_of_a_joined_turn_whose_worker_died_is_told_by_another(worker: TestWorker) -> None:
    first = await running(worker)
    second = await say("In weeks, please", when_busy="steer")
    worker.runs[first][0].steer()
    await worker.order(first, "look")
    async with connection() as conn:
        nobody = "00000000-0000-0000-0000-000000000000"
        await conn.execute("UPDATE turns SET state = 'done', holder = %s WHERE id = %s", (nobody, second.turn))
    assert await worker.care()

    assert (await types(second.turn))[-1] == "done"
    assert (await row(second.turn, "holder"))[0] is None


async def test_a_waiting_turns_joined_messages_do_not_run_and_go_on_with_it(worker: TestWorker) -> None:
    first = await running(worker)
    second = await say("In weeks, please", when_busy="steer")
    worker.runs[first][0].steer()
    await worker.order(first, "look")
    await worker.order(first, "ask yes")
    await worker.done(first)
    assert await worker.claim() is None

    await cancel_turn(first, user_id="demo-pro")
    assert (await types(second.turn))[-1] == "cancelled"


async def test_who_waits_is_told_each_place_on_the_way(worker: TestWorker) -> None:
    first = await running(worker)
    waiting = [await say(f"Number {number}") for number in range(3)]
    await worker.order(first, "finish")
    await worker.done(first)
    await cancel_turn(waiting[0].turn, user_id="demo-pro")

    places = [frame["position"] for frame in await frames(waiting[2].turn) if frame["type"] == "queued"]
    assert places == [3, 2, 1]
    assert [frame["seq"] for frame in await frames(waiting[2].turn)] == [1, 2, 3, 4]


async def test_numbers_never_restart_when_the_journal_of_one_who_waited_is_lost(worker: TestWorker) -> None:
    first = await running(worker)
    second = await say("Second")
    clear_memory()
    await worker.order(first, "finish")
    await worker.done(first)
    assert await worker.claim() == second.turn
    await worker.order(second.turn, "say", "42")

    assert min(frame["seq"] for frame in await frames(second.turn)) > 2


async def test_the_queue_has_an_end(worker: TestWorker, users: dict[str, str]) -> None:
    async with connection() as conn:
        await conn.execute("""UPDATE user_licenses SET resource_limits = '{"messages_per_minute": null}'""")
    await running(worker)
    for number in range(QUEUE_CAP):
        await say(f"Number {number}")
    with pytest.raises(Refused) as refused:
        await say("One too many")

    assert refused.value.code == "queue_full"
    assert (await say("Stop all that", when_busy="interrupt")).position == 1


async def test_a_user_says_once_what_becomes_of_later_messages(worker: TestWorker) -> None:
    first = await running(worker)
    told = await say("/busy reject")
    with pytest.raises(Refused):
        await say("Second")
    await say("Third", when_busy="queue")
    unknown = await say("/busy louder")

    assert "it is refused (reject)" in (await frames(told.turn))[-1]["content"]
    assert "/busy steer" in (await frames(unknown.turn))[-1]["content"]
    assert (await row(first, "state"))[0] == "running"
