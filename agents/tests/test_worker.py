"""The worker as `serve` and `run_worker` run it. Source: DESIGN section 2."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from agents import worker as worker_module
from agents.tests.engine import ScriptedBrain, row, say, types
from agents.turns import cancel_turn
from agents.worker import Worker
from gateway.db import connection, conninfo
from gateway.leases import Lease
from gateway.services import Services
from gateway.wakeups import Wakeups

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users", "pool")]
PATIENCE_S = 20


@asynccontextmanager
async def working(brain: ScriptedBrain) -> AsyncIterator[Services]:
    """A worker with a lease and wake-ups of its own."""
    services = Services(Lease("test"), Wakeups())
    await asyncio.to_thread(services.lease.acquire)
    task = asyncio.create_task(Worker(services, brain=brain.brain()).run())
    await asyncio.sleep(0)
    listening = asyncio.create_task(services.wakeups.run())
    try:
        yield services
    finally:
        services.stopping.set()
        services.wakeups.wake_all()
        await task
        listening.cancel()
        await asyncio.to_thread(services.lease.release)


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
