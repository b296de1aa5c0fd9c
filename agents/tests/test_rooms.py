"""A message that nothing comes before is claimed as it is accepted, by the worker of the same event loop."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from accounts.models import UserLicence
from agents import worker as worker_module
from agents.conversations import create_conversation
from agents.queue import claim_next, claims_of
from agents.rooms import offered, room_here
from agents.tests.engine import ScriptedBrain, TestWorker, row, say, types, working
from agents.tests.licences import licence
from agents.turns import Accepted
from agents.worker import Worker
from gateway.db import connection
from gateway.leases import Lease
from gateway.services import Services
from gateway.wakeups import Wakeups

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users", "pool")]
QUEUED = ("queued", None, 0)


@pytest.fixture
async def beside(brain: ScriptedBrain) -> AsyncIterator[TestWorker]:
    """The worker of the loop that `tell` accepts messages in."""
    worker = await TestWorker(brain).begin()
    yield worker
    await worker.die()


async def tell(worker: TestWorker, content: str, **more: Any) -> Accepted:
    with offered(worker):
        return await say(content, **more)


async def allow_one_turn() -> None:
    await UserLicence.objects.filter(user_id="demo-pro").aupdate(resource_limits={"turns_at_once": 1})


async def claim_of(turn: str) -> tuple[object, ...]:
    return await row(turn, "state", "holder", "fence")


async def test_a_message_that_nothing_comes_before_begins_at_once(beside: TestWorker, brain: ScriptedBrain) -> None:
    accepted = await tell(beside, "Hello")

    assert await claim_of(accepted.turn) == ("running", beside.id, 1)
    await beside.order(accepted.turn, "say", "Hi")
    await beside.order(accepted.turn, "finish")
    await beside.done(accepted.turn)
    assert await types(accepted.turn) == ["user_message", "started", "token", "done"]
    assert [message["content"] for message in brain.stored[accepted.turn]] == ["Hello", "Hi"]


async def test_what_stands_in_the_row_is_what_a_claim_from_the_queue_would_tell(beside: TestWorker) -> None:
    at_once = await tell(beside, "Hello", channel="telegram")
    other = await create_conversation("demo-pro")
    queued = await say("Hello", channel="telegram", conversation=other.id)
    assert await beside.claim() == queued.turn

    first, second = (beside.runs[each.turn][0].claim for each in (at_once, queued))
    own = {"turn", "conversation", "waited_s"}
    assert {name: getattr(first, name) for name in first.__slots__ if name not in own} == {
        name: getattr(second, name) for name in second.__slots__ if name not in own
    }


async def test_the_next_message_of_the_conversation_waits(beside: TestWorker) -> None:
    await tell(beside, "one")
    second = await tell(beside, "two")

    assert second.position == 1
    assert await claim_of(second.turn) == QUEUED


async def test_a_message_waits_until_the_answer_before_it_is_stored(beside: TestWorker) -> None:
    storing, stored = asyncio.Event(), asyncio.Event()

    async def remember(*_turn: object) -> None:
        storing.set()
        await stored.wait()

    beside.remember = remember
    first = await tell(beside, "one")
    await beside.order(first.turn, "finish")
    await storing.wait()
    second = await tell(beside, "two")

    assert (second.position, await claim_of(second.turn)) == (0, QUEUED)
    stored.set()
    await beside.done(first.turn)
    assert await beside.claim() == second.turn


async def test_no_more_turns_begin_than_the_licence_allows_at_once(beside: TestWorker) -> None:
    await allow_one_turn()
    other = await create_conversation("demo-pro")
    await tell(beside, "one")
    second = await tell(beside, "two", conversation=other.id)

    assert (second.position, await claim_of(second.turn)) == (0, QUEUED)


async def test_two_messages_at_once_never_get_the_same_slot(beside: TestWorker) -> None:
    await allow_one_turn()
    others = [await create_conversation("demo-pro") for _ in range(4)]

    with offered(beside):
        turns = await asyncio.gather(*(say("Go", conversation=other.id) for other in others))

    states = sorted([(await claim_of(each.turn))[0] for each in turns], key=str)
    assert states == ["queued", "queued", "queued", "running"]


async def test_a_message_is_queued_while_a_claim_gives_away_the_users_slots(beside: TestWorker) -> None:
    async with connection() as conn, conn.transaction():
        await conn.execute(f"SELECT pg_advisory_xact_lock({claims_of('%s')})", ("demo-pro",))
        accepted = await tell(beside, "Hello")

    assert await claim_of(accepted.turn) == QUEUED
    assert await beside.claim() == accepted.turn


async def test_a_worker_whose_lease_has_run_out_gets_nothing(beside: TestWorker) -> None:
    await beside.lose_lease()
    accepted = await tell(beside, "Hello")

    assert await claim_of(accepted.turn) == QUEUED


async def test_a_message_that_is_sent_twice_at_once_begins_once(beside: TestWorker) -> None:
    with offered(beside):
        twice = await asyncio.gather(say("Hello", external="7"), say("Hello", external="7"))

    assert len({each.turn for each in twice}) == 1
    assert sorted(each.duplicate for each in twice) == [False, True]
    assert len(beside.runs) == 1


async def test_a_worker_that_is_full_or_stops_takes_no_message(
    brain: ScriptedBrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with working(brain) as services:
        async with asyncio.timeout(10):
            while room_here() is None:  # noqa: ASYNC110 - first it looks at what the queue has
                await asyncio.sleep(0.01)
        services.wakeups.wake_all()
        assert room_here() is None, "those in the queue come first"
        async with asyncio.timeout(10):
            while room_here() is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        monkeypatch.setattr(worker_module, "MAX_TURNS", 0)
        assert room_here() is None
        monkeypatch.undo()
        services.stopping.set()
        assert room_here() is None
    assert room_here() is None


async def test_a_worker_that_is_told_to_stop_meanwhile_puts_the_turn_back(
    beside: TestWorker, brain: ScriptedBrain
) -> None:
    services = Services(Lease("test"), Wakeups())
    services.lease.id = beside.id
    accepted = await say("Hello")
    claim = await claim_next(beside.id)
    assert claim is not None
    services.stopping.set()

    Worker(services, brain=brain.brain()).take(claim, licence())
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == f"turn {claim.turn}"))

    assert await row(accepted.turn, "state", "holder", "attempts") == ("queued", None, 0)
