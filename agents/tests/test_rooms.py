"""A message that nothing comes before is claimed as it is accepted, by the worker of the same event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import pytest

from accounts.models import UserLicence
from agents import worker as worker_module
from agents.brain import Brain
from agents.conversations import create_conversation, main_conversation
from agents.harness_types import Answer, Emit, TurnRequest
from agents.pulse import Pulse
from agents.queue import claim_next, claims_of
from agents.rooms import offered, room_here
from agents.tests.engine import ScriptedBrain, TestWorker, row, say, types, working
from agents.tests.licences import licence
from agents.turns import Accepted
from agents.uploads import add_upload
from agents.waiting import Waits
from agents.worker import Worker
from gateway.db import connection
from gateway.leases import Lease
from gateway.services import Services
from gateway.wakeups import Wakeups

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users", "pool")]
QUEUED = ("queued", None, 0)
CALLER: ContextVar[str | None] = ContextVar("caller", default=None)


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


async def test_a_claim_at_once_says_what_one_from_the_queue_would(beside: TestWorker) -> None:
    other = await create_conversation("demo-pro")
    await main_conversation("demo-pro")
    async with connection() as conn:
        await conn.execute("UPDATE conversations SET model = 'demo/demo', model_settled = true")
    at_once = await tell(beside, "Hello", channel="telegram")
    queued = await say("Hello", channel="telegram", conversation=other.id)
    assert await beside.claim() == queued.turn

    first, second = (beside.runs[each.turn][0].claim for each in (at_once, queued))
    assert (first.preferred_model, first.model_settled) == ("demo/demo", True)
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
    assert len(beside.tasks) == 1


async def test_a_worker_that_is_full_or_stops_takes_no_message(
    brain: ScriptedBrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with working(brain) as services:
        async with asyncio.timeout(60):
            while room_here() is None:  # noqa: ASYNC110 - first it looks at what the queue has
                await asyncio.sleep(0.01)
        services.wakeups.wake_all()
        assert room_here() is None, "those in the queue come first"
        async with asyncio.timeout(60):
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


async def test_a_message_that_stops_a_turn_in_the_queue_goes_by_the_queue(
    beside: TestWorker, brain: ScriptedBrain
) -> None:
    first = await tell(beside, "one")
    await beside.order(first.turn, "fail", "retryable")
    await beside.done(first.turn)
    second = await tell(beside, "two", when_busy="interrupt")

    assert (second.position, await claim_of(second.turn)) == (0, QUEUED)
    assert (await types(first.turn))[-1] == "cancelled"
    assert await beside.claim() == second.turn
    await beside.order(second.turn, "finish")
    await beside.done(second.turn)
    assert brain.stored_order == [first.turn, second.turn]


async def test_a_later_message_takes_no_slot_before_an_earlier_one(beside: TestWorker) -> None:
    await allow_one_turn()
    storing, stored = asyncio.Event(), asyncio.Event()

    async def remember(*_turn: object) -> None:
        storing.set()
        await stored.wait()

    beside.remember = remember
    others = [await create_conversation("demo-pro") for _ in range(2)]
    first = await tell(beside, "one")
    second = await tell(beside, "two", conversation=others[0].id)
    await beside.order(first.turn, "finish")
    await storing.wait()
    third = await tell(beside, "three", conversation=others[1].id)

    assert await claim_of(third.turn) == QUEUED
    stored.set()
    await beside.done(first.turn)
    assert await beside.claim() == second.turn


@pytest.mark.parametrize("ahead", ["queued", "held by a worker that died"])
async def test_a_message_waits_for_whatever_is_ahead(beside: TestWorker, brain: ScriptedBrain, ahead: str) -> None:
    first = await say("one")
    if ahead != "queued":
        other = await TestWorker(brain).begin()
        assert await other.claim() == first.turn
        await other.die()
    second = await tell(beside, "two")

    assert (second.position, await claim_of(second.turn)) == (1, QUEUED)


async def test_files_and_workflows_go_by_the_queue(beside: TestWorker) -> None:
    content = b"date,close\n2024-01-02,1\n"
    upload = await add_upload("demo-pro", name="prices.csv", content=content, channel="web")
    with_file = await tell(beside, "Look", attachments=(upload.id,))
    other = await create_conversation("demo-pro")
    workflow = await tell(beside, "/analyse sma_crossover on SPX", conversation=other.id)

    assert [await claim_of(each.turn) for each in (with_file, workflow)] == [QUEUED, QUEUED]


async def test_what_earlier_turns_left_unstored_is_told(beside: TestWorker, brain: ScriptedBrain) -> None:
    brain.storing = False
    first = await tell(beside, "one")
    await beside.order(first.turn, "finish")
    await beside.done(first.turn)
    second = await tell(beside, "two")

    assert (await claim_of(second.turn))[0] == "running"
    assert beside.runs[second.turn][0].claim.unstored


async def test_a_message_that_is_cut_off_is_begun_all_the_same(beside: TestWorker) -> None:
    """Wherever that happens: before it is stored nothing is, and afterwards it runs."""
    await tell(beside, "one", conversation=(await create_conversation("demo-pro")).id)
    for waits in range(30):
        other = await create_conversation("demo-pro")
        with offered(beside):
            asking = asyncio.create_task(say("Hello", external=f"m{waits}", conversation=other.id))
            for _ in range(waits * 3):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait([asking])
            again = await say("Hello", external=f"m{waits}", conversation=other.id)
        assert (await claim_of(again.turn))[0] == "running"
        assert again.turn in beside.runs
        beside.runs[again.turn][0].cancel()
        await beside.done(again.turn)


async def test_a_process_that_hangs_while_it_accepts_holds_up_its_user_only(beside: TestWorker) -> None:
    async with connection() as conn, conn.transaction():
        await conn.execute(f"SELECT pg_advisory_xact_lock({claims_of('%s')})", ("demo-pro",))
        hung = await say("one")
        other = await say("two", user="demo-free")
        passed: list[str] = []
        claim = await claim_next(beside.id, passed=passed)

        assert claim is not None
        assert (claim.turn, passed) == (other.turn, ["demo-pro"])
        assert await claim_next(beside.id) is None
    assert await beside.claim() == hung.turn


async def test_the_row_is_what_a_claim_from_the_queue_leaves(beside: TestWorker) -> None:
    at_once = await tell(beside, "Hello")
    queued = await say("Hello", conversation=(await create_conversation("demo-pro")).id)
    await beside.claim()

    columns = (
        "state",
        "holder",
        "fence",
        "attempts",
        "journal_floor",
        "told_position",
        "run_after",
        "cancel_requested",
    )
    assert await row(at_once.turn, *columns) == await row(queued.turn, *columns)
    assert (await row(at_once.turn, "started_at"))[0] is not None


async def test_a_turn_does_not_run_in_the_context_of_whoever_sent_its_message(brain: ScriptedBrain) -> None:
    seen: list[str | None] = []

    async def run(request: TurnRequest, emit: Emit) -> Answer | Waits:
        seen.append(CALLER.get())
        return await brain.run(request, emit)

    async with working(Brain(run=run, remember=brain.remember)):
        async with asyncio.timeout(60):
            while room_here() is None:  # noqa: ASYNC110 - first it looks at what the queue has
                await asyncio.sleep(0.01)
        mark = CALLER.set("a request")
        accepted = await say("Hello")
        CALLER.reset(mark)
        await brain.orders[accepted.turn, 1].put(("finish", ""))
        async with asyncio.timeout(60):
            while (await claim_of(accepted.turn))[0] != "done":  # noqa: ASYNC110 - another connection's row
                await asyncio.sleep(0.01)

    assert seen == [None]


async def test_a_worker_that_fell_behind_takes_no_message_before_it_has_looked_into_the_queue(
    brain: ScriptedBrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with working(brain) as services:
        async with asyncio.timeout(60):
            while room_here() is None:  # noqa: ASYNC110 - first it looks at what the queue has
                await asyncio.sleep(0.01)
        first = await say("Hello")
        monkeypatch.setattr(Pulse, "late", property(lambda _: True))
        services.wakeups.wake_all()
        await asyncio.sleep(0.01)
        monkeypatch.undo()

        assert room_here() is None
        await brain.orders[first.turn, 1].put(("finish", ""))
