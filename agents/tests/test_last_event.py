"""The number of a turn's last event is kept past its journal. Source: DESIGN sections 2 and 3."""

import pytest

from agents.dead_letters import retry_dead
from agents.journal import clear_memory, journal
from agents.queue import MAX_ATTEMPTS
from agents.tests.engine import ScriptedBrain, TestWorker, let_retries_be_due, row, say
from agents.turns import cancel_turn, find_turn
from gateway.db import connection

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users", "pool")]


@pytest.fixture
async def worker(users: dict[str, str], pool: None) -> TestWorker:
    return await TestWorker(ScriptedBrain()).begin()


async def last_written(turn: str) -> int:
    found = await journal().read(turn, after=0)
    assert found is not None
    return found.last


async def run(worker: TestWorker, order: str, text: str = "") -> None:
    turn = await worker.claim()
    assert turn is not None
    await worker.order(turn, order, text)
    await worker.done(turn)


@pytest.mark.parametrize("order", ["finish", "fail"])
async def test_a_turn_that_ended_is_told_by_its_last_event_only(worker: TestWorker, order: str) -> None:
    turn = (await say("Hello")).turn
    assert not (await find_turn(turn, user_id="demo-pro")).told_by(2**53)
    await run(worker, order)

    last, view = await last_written(turn), await find_turn(turn, user_id="demo-pro")
    assert (view.told_by(last - 1), view.told_by(last)) == (False, True)


async def test_a_turn_cancelled_in_the_queue_and_a_command_keep_their_last_number(worker: TestWorker) -> None:
    waiting = (await say("Hello")).turn
    await cancel_turn(waiting, user_id="demo-pro")
    command = (await say("/help")).turn

    for turn in (waiting, command):
        assert await row(turn, "last_seq") == (await last_written(turn),)


@pytest.mark.parametrize("journal_lost", [False, True])
async def test_the_end_that_another_worker_tells_keeps_its_number(worker: TestWorker, journal_lost: bool) -> None:
    turn = (await say("Hello")).turn
    claimed = await worker.claim()
    assert claimed == turn
    await worker.order(turn, "finish")
    await worker.done(turn)
    async with connection() as conn:
        await conn.execute("UPDATE turns SET last_seq = NULL, holder = %s WHERE id = %s", (worker.id, turn))
    await worker.lose_lease()
    if journal_lost:
        clear_memory()
    await (await TestWorker(worker.brain).begin()).care()

    assert await row(turn, "last_seq") == (await last_written(turn),)


async def test_a_dead_letter_that_is_tried_again_has_no_last_event_yet(worker: TestWorker) -> None:
    turn = (await say("Hello")).turn
    for _ in range(MAX_ATTEMPTS):
        await let_retries_be_due()
        await run(worker, "fail", "retryable")
    first = await last_written(turn)
    assert await row(turn, "last_seq") == (first,)

    await retry_dead(turn)
    assert await row(turn, "last_seq") == (None,)
    await run(worker, "finish")
    assert (await row(turn, "last_seq"))[0] > first
