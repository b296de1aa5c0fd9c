"""Rows are the queue, notifications only wake. Source: DESIGN section 2."""

import asyncio

import psycopg
import pytest

from gateway.db import connection, conninfo, notify
from gateway.wakeups import Signal, Wakeups

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("pool")]


async def listening(wakeups: Wakeups) -> asyncio.Task[None]:
    """Runs once every signal has been woken by the connection's first look."""
    signal = wakeups.on("ready_in_test")
    task = asyncio.create_task(wakeups.run())
    await woken(signal)
    return task


async def woken(signal: Signal) -> list[str]:
    """What the signal brings; fails when nothing wakes it for long, where a wait of its own would end as a poll."""
    async with asyncio.timeout(60):
        return await signal.wait(timeout_s=100)


async def send(channel: str, payload: str) -> None:
    async with connection() as conn:
        await notify(conn, channel, payload)


async def test_a_notification_wakes_every_waiter_of_its_channel() -> None:
    wakeups = Wakeups()
    first, second, other = wakeups.on("turns"), wakeups.on("turns"), wakeups.on("outbox")
    task = await listening(wakeups)
    for signal in (first, second, other):
        await signal.wait()

    await send("turns", "x")

    assert await woken(first) == ["x"]
    assert await woken(second) == ["x"]
    assert await other.wait(timeout_s=0) == []
    task.cancel()


async def test_a_connection_that_broke_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.wakeups.RECONNECT_S", 0.01)
    wakeups = Wakeups()
    signal = wakeups.on("turns")
    task = await listening(wakeups)
    await signal.wait()
    async with await psycopg.AsyncConnection.connect(conninfo(), autocommit=True) as conn:
        await conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        )

    assert await woken(signal) == []
    await send("turns", "y")
    assert await woken(signal) == ["y"]
    task.cancel()


async def test_a_wait_without_a_notification_ends_as_a_poll() -> None:
    assert await Wakeups().on("turns").wait(timeout_s=0.01) == []
