"""The worker as `serve` and `run_worker` run it. Source: DESIGN section 2."""

import asyncio
from typing import Any

import psycopg
import pytest

from accounts.licences import Licence
from agents import leftovers
from agents import worker as worker_module
from agents.brain import Brain
from agents.conversations import create_conversation
from agents.tests.engine import (
    ScriptedBrain,
    TestWorker,
    answer,
    let_retries_be_due,
    row,
    say,
    something_waits,
    types,
    working,
)  # fmt: skip
from agents.turns import cancel_turn
from gateway.db import connection, conninfo

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users", "pool")]
PATIENCE_S = 20


async def state_of(turn: str, state: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await _state(turn) != state:  # noqa: ASYNC110 - another connection's row
            await asyncio.sleep(0.01)


async def _state(turn: str) -> str:
    """A connection of its own: those of the pool may have been cut."""
    async with await psycopg.AsyncConnection.connect(conninfo(), autocommit=True) as conn:
        found = await (await conn.execute("SELECT state FROM turns WHERE id = %s", (turn,))).fetchone()
    assert found is not None
    return str(found[0])


async def test_a_message_wakes_the_worker_which_answers_it(brain: ScriptedBrain) -> None:
    async with working(brain):
        accepted = await say("Hello")
        await brain.orders[accepted.turn, 1].put(("finish", ""))
        await state_of(accepted.turn, "done")

    assert (await types(accepted.turn))[-1] == "done"


async def test_a_cancel_from_anywhere_reaches_the_running_turn(brain: ScriptedBrain) -> None:
    async with working(brain):
        accepted = await say("Hello")
        await state_of(accepted.turn, "running")
        await cancel_turn(accepted.turn, user_id="demo-pro")
        await state_of(accepted.turn, "cancelled")


async def test_a_worker_that_stops_puts_its_turns_back(brain: ScriptedBrain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "DRAIN_S", 0.05)
    async with working(brain):
        accepted = await say("Hello")
        await state_of(accepted.turn, "running")

    assert await row(accepted.turn, "state", "holder", "attempts") == ("queued", None, 0)


async def test_a_worker_outlives_its_database_connections(brain: ScriptedBrain) -> None:
    async with working(brain):
        first = await say("one")
        await state_of(first.turn, "running")
        async with await psycopg.AsyncConnection.connect(conninfo(), autocommit=True) as conn:
            await conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                # Django's own connection made the users, and empties the tables when the test is over.
                " AND pid <> pg_backend_pid() AND query NOT LIKE 'INSERT INTO \"user_licenses\"%'"
            )
        await brain.orders[first.turn, 1].put(("finish", ""))
        await state_of(first.turn, "done")


async def test_a_turn_that_the_process_holds_and_does_not_run_is_given_up(
    brain: ScriptedBrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "SWEEP_EVERY_S", 0.05)
    async with working(brain) as services:
        accepted = await say("Hello")
        await state_of(accepted.turn, "running")
        await brain.orders[accepted.turn, 1].put(("finish", ""))
        await state_of(accepted.turn, "done")
        stray = await say("lost")
        async with connection() as conn:
            await conn.execute(
                "UPDATE turns SET state = 'running', holder = %s, fence = fence + 1, attempts = 1 WHERE id = %s",
                (services.lease.id, stray.turn),
            )
        await brain.orders[stray.turn, 2].put(("finish", ""))
        await brain.orders[stray.turn, 1].put(("finish", ""))
        await state_of(stray.turn, "done")


class Stuck:
    """A brain whose workspaces do not start until `starts` is set; `asked` has the turns that are to be stored."""

    def __init__(self, brain: ScriptedBrain) -> None:
        self.scripted, self.starts = brain, asyncio.Event()
        self.asked: asyncio.Queue[str] = asyncio.Queue()

    def brain(self) -> Brain:
        async def remember(licence: Licence, conversation: str, turn: str, history: list[dict[str, Any]]) -> None:
            self.asked.put_nowait(turn)
            await self.starts.wait()
            await self.scripted.remember(licence, conversation, turn, history)

        return Brain(run=self.scripted.run, remember=remember)


async def leave_unstored(brain: ScriptedBrain, *, user: str) -> str:
    """A turn that has ended, and whose messages the workspace could not take; it is due to try again."""
    turn = (await say("Hello", user=user, conversation=(await create_conversation(user)).id)).turn
    brain.storing = False
    await answer(await TestWorker(brain).begin(), "Hi")
    brain.storing = True
    await let_retries_be_due()
    return turn


async def leave_untold(brain: ScriptedBrain, *, user: str) -> tuple[str, TestWorker]:
    """A turn that has ended and of which nothing was told yet; it is abandoned when its worker loses its lease."""
    turn, worker = await leave_unstored(brain, user=user), await TestWorker(brain).begin()
    async with connection() as conn:
        await conn.execute("UPDATE turns SET holder = %s, last_seq = NULL WHERE id = %s", (worker.id, turn))
    return turn, worker


async def known_end(turn: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await row(turn, "last_seq"))[0] is None:  # noqa: ASYNC110 - another connection's row
            await asyncio.sleep(0.01)


async def expire(wait: str) -> None:
    """Let an approval's time be over, until that was seen."""
    async with connection() as conn, asyncio.timeout(PATIENCE_S):
        await conn.execute("UPDATE approvals SET expires_at = clock_timestamp() WHERE id = %s", (wait,))
        found: Any = ("pending",)
        while found == ("pending",):
            found = await (await conn.execute("SELECT state FROM approvals WHERE id = %s", (wait,))).fetchone()
            await asyncio.sleep(0.01)
    assert found == ("expired",)


async def unheld(turn: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await row(turn, "holder"))[0] is not None:  # noqa: ASYNC110 - another connection's row
            await asyncio.sleep(0.01)


async def test_workspaces_that_do_not_start_hold_up_nothing_else(
    brain: ScriptedBrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source: DESIGN section 2: an end is told, and a wait is over, in seconds; a workspace may take two minutes."""
    monkeypatch.setattr(worker_module, "SWEEP_EVERY_S", 0.05)
    monkeypatch.setattr(worker_module, "DRAIN_S", 0.05)
    unstored, stuck = await leave_unstored(brain, user="demo-free"), Stuck(brain)
    untold, dying = await leave_untold(brain, user="demo-enterprise")
    waits = [await something_waits("demo-pro") for _ in range(3)]
    async with working(stuck.brain()):
        assert await asyncio.wait_for(stuck.asked.get(), PATIENCE_S) == unstored
        fence = await row(unstored, "fence")
        await dying.lose_lease()
        await known_end(untold)
        # Each in a sweep of its own: in the third, what is stored would be taken up again if it were a stray.
        for wait in waits:
            await expire(wait)
        assert await row(unstored, "fence", "history_stored_at") == (*fence, None)

        stuck.starts.set()
        for turn in (unstored, untold):
            await unheld(turn)

    assert {unstored, untold} <= set(brain.stored)


async def test_what_finds_no_room_to_be_stored_is_told_and_stored_later(
    brain: ScriptedBrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "SWEEP_EVERY_S", 0.05)
    monkeypatch.setattr(leftovers, "MOST_STORES", 1)
    unstored, stuck = await leave_unstored(brain, user="demo-free"), Stuck(brain)
    untold, dying = await leave_untold(brain, user="demo-enterprise")
    async with working(stuck.brain()):
        assert await asyncio.wait_for(stuck.asked.get(), PATIENCE_S) == unstored
        await dying.lose_lease()
        await known_end(untold)
        await unheld(untold)
        assert untold not in brain.stored
        await let_retries_be_due()
        stuck.starts.set()
        assert await asyncio.wait_for(stuck.asked.get(), PATIENCE_S) == untold
        await unheld(untold)

    assert set(brain.stored) == {unstored, untold}


async def test_turns_of_one_conversation_are_stored_one_after_the_other(
    brain: ScriptedBrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A workspace keeps messages in the order in which they come."""
    monkeypatch.setattr(worker_module, "SWEEP_EVERY_S", 0.05)
    monkeypatch.setattr(worker_module, "DRAIN_S", 0.05)
    turns = [await leave_unstored(brain, user="demo-free") for _ in range(3)]
    untold, dying = await leave_untold(brain, user="demo-free")
    async with connection() as conn:
        await conn.execute(
            "UPDATE turns SET conversation_id = (SELECT conversation_id FROM turns WHERE id = %s) WHERE id = ANY(%s)",
            (turns[0], [*turns[1:], untold]),
        )
    await dying.lose_lease()
    stuck, wait = Stuck(brain), await something_waits("demo-pro")
    async with working(stuck.brain()):
        assert await asyncio.wait_for(stuck.asked.get(), PATIENCE_S) == turns[0]
        await known_end(untold)
        await expire(wait)
        assert stuck.asked.empty()
        stuck.starts.set()
        for turn in turns[1:]:
            assert await asyncio.wait_for(stuck.asked.get(), PATIENCE_S) == turn
            await unheld(turn)
        await let_retries_be_due()
        assert await asyncio.wait_for(stuck.asked.get(), PATIENCE_S) == untold
        await unheld(untold)

    assert brain.stored_order == [*turns, untold]


async def test_a_worker_that_stops_leaves_what_it_stores_to_another(brain: ScriptedBrain) -> None:
    unstored, stuck = await leave_unstored(brain, user="demo-free"), Stuck(brain)
    async with working(stuck.brain()):
        assert await asyncio.wait_for(stuck.asked.get(), PATIENCE_S) == unstored

    assert await row(unstored, "holder", "history_stored_at") == (None, None)
    assert await (await TestWorker(brain).begin()).care()
    assert list(brain.stored) == [unstored]
