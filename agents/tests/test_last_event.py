"""The number of a turn's last event is kept past its journal. Source: DESIGN sections 2 and 3."""

import asyncio
from collections.abc import Sequence

import pytest

from agents.cancelling import cancel_on
from agents.dead_letters import retry_dead
from agents.events import Cancelled, Done, Notice, Token
from agents.journal import clear_memory, journal
from agents.journal.memory import MemoryJournal
from agents.queue import MAX_ATTEMPTS, claim_next
from agents.tests.engine import ScriptedBrain, TestWorker, let_retries_be_due, row, say, types
from agents.turns import cancel_turn, find_turn
from agents.writer import TurnWriter
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


async def test_a_cancel_whose_process_died_after_its_commit_is_told_by_a_worker(worker: TestWorker) -> None:
    turn = (await say("Hello")).turn
    async with connection() as conn, conn.transaction():
        await cancel_on(conn, turn, "demo-pro")
    while await worker.care():
        pass

    assert (await types(turn))[-1] == "cancelled"
    assert (await find_turn(turn, user_id="demo-pro")).told_by(await last_written(turn))


@pytest.mark.parametrize("tried", [False, True])
async def test_a_cancel_that_a_worker_tells_first_is_told_once(worker: TestWorker, tried: bool) -> None:
    turn = (await say("Hello")).turn
    if tried:
        await run(worker, "fail", "retryable")
    async with connection() as conn, conn.transaction():
        tell = await cancel_on(conn, turn, "demo-pro")
    while await worker.care():
        pass
    assert tell is not None
    await tell()

    assert (await types(turn)).count("cancelled") == 1
    assert await row(turn, "holder", "last_seq") == (None, await last_written(turn))


async def test_a_turn_cancelled_when_its_journal_is_lost_shows_its_question(worker: TestWorker) -> None:
    turn = (await say("Hello")).turn
    clear_memory()
    await cancel_turn(turn, user_id="demo-pro")

    assert await types(turn) == ["user_message", "cancelled"]


async def test_the_last_number_is_known_while_text_is_being_written(worker: TestWorker) -> None:
    await say("Hello")
    claim = await claim_next(worker.id)
    assert claim is not None
    book = HeldJournal(open_ttl_s=100, final_ttl_s=100)
    writer = TurnWriter(claim, book)
    await writer.open()
    await writer.emit(Token("first, written at once "))
    await writer.emit(Token("and what waits for more"))
    book.free.clear()
    await asyncio.wait_for(book.asked.wait(), 60)
    expected = asyncio.create_task(writer.last_seq())
    await asyncio.sleep(0)
    book.free.set()

    assert await expected == await writer.finish(Done(content="", model=None))


async def test_what_comes_after_a_turns_end_is_not_written(worker: TestWorker) -> None:
    turn = (await say("Hello")).turn
    claim = await claim_next(worker.id)
    assert claim is not None
    writer = TurnWriter(claim, journal())
    await writer.open()
    await writer.finish(Cancelled(content=""))
    await writer.emit(Notice(text="Too late."))
    await writer.emit(Token("Much too late."))

    assert await types(turn) == ["user_message", "cancelled"]


class HeldJournal(MemoryJournal):
    """A journal whose server takes its time. `asked`: it has been asked to write while it was held."""

    def __init__(self, *, open_ttl_s: float, final_ttl_s: float) -> None:
        super().__init__(open_ttl_s=open_ttl_s, final_ttl_s=final_ttl_s)
        self.free, self.asked = asyncio.Event(), asyncio.Event()
        self.free.set()

    async def append(self, turn: str, events: Sequence[str], *, fence: int) -> int:
        if not self.free.is_set():
            self.asked.set()
            await self.free.wait()
        return await super().append(turn, events, fence=fence)
