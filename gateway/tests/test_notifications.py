"""What is committed is told of once it is, and no commit waits for another's. Source: DESIGN section 2."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psycopg
import pytest
import structlog

from gateway import db
from gateway.db import Connection, close_pool, connection, conninfo, notify, open_pool

pytestmark = pytest.mark.django_db(transaction=True)


@asynccontextmanager
async def hearing(*channels: str) -> AsyncIterator[Connection]:
    """A connection that listens."""
    async with await Connection.connect(conninfo(), autocommit=True) as listener:
        for channel in channels:
            await listener.execute(f"LISTEN {channel}")
        yield listener


async def heard(listener: Connection, *, until: str = "last") -> list[psycopg.Notify]:
    """What came before the notification `until`, which is sent now."""
    async with connection() as conn:
        await notify(conn, until)
    found: list[psycopg.Notify] = []
    async for told in listener.notifies(timeout=10):
        if told.channel == until:
            return found
        found.append(told)
    raise AssertionError("nothing ended it")


@pytest.mark.usefixtures("pool")
async def test_a_transaction_is_told_of_once_it_has_committed_and_by_another_connection() -> None:
    async with hearing("turns", "first", "last") as listener, connection() as conn:
        async with conn.transaction():
            await notify(conn, "turns", "x")
            assert await heard(listener, until="first") == []
        teller = conn.info.backend_pid
        # While this one is taken.
        [told] = await heard(listener)

    assert (told.channel, told.payload) == ("turns", "x")
    # Its commit takes no lock for it then.
    assert told.pid != teller


@pytest.mark.usefixtures("pool")
async def test_what_was_rolled_back_is_not_told_of() -> None:
    async with hearing("turns", "last") as listener, connection() as conn:
        with suppress(ZeroDivisionError):
            async with conn.transaction():
                await notify(conn, "turns", "failed")
                raise ZeroDivisionError
        async with conn.transaction(force_rollback=True):
            await notify(conn, "turns", "tried")
        async with conn.transaction():
            await notify(conn, "turns", "kept")
            async with conn.transaction():
                await notify(conn, "turns", "inner")

        assert [told.payload for told in await heard(listener)] == ["kept", "inner"]


@pytest.mark.usefixtures("pool")
async def test_alike_ones_that_come_together_are_sent_once_and_in_their_order() -> None:
    async def commit(payload: str) -> None:
        async with connection() as conn, conn.transaction():
            await notify(conn, "turns", payload)

    async with hearing("turns", "last") as listener:
        await asyncio.gather(*(commit("same") for _ in range(200)))
        for payload in ("a", "b"):
            await commit(payload)
        payloads = [told.payload for told in await heard(listener)]

    assert payloads[-2:] == ["a", "b"]
    assert 1 <= payloads.count("same") < 200


async def test_a_pool_that_is_closed_has_told_all_before(transactional_db: None) -> None:
    async with hearing("turns", "last") as listener:
        await open_pool()
        async with connection() as conn, conn.transaction():
            await notify(conn, "turns")
        await close_pool()

        assert [told.channel for told in await heard(listener)] == ["turns"]


async def test_without_a_pool_it_is_sent_before_the_transaction_ends_for_its_caller(transactional_db: None) -> None:
    async with hearing("turns", "last") as listener:
        async with connection() as conn, conn.transaction():
            await notify(conn, "turns")

        assert [told.channel for told in await heard(listener)] == ["turns"]


@pytest.mark.usefixtures("pool")
async def test_a_database_that_takes_none_is_told_of_in_the_log_and_the_next_is_sent() -> None:
    async with hearing("turns", "last") as listener:
        with structlog.testing.capture_logs() as logs:
            async with connection() as conn:
                # The server refuses a payload of 8,000 bytes.
                await notify(conn, "turns", "x" * 9000)
                await db._pools[asyncio.get_running_loop()].notifier.end()
                told = await heard(listener)

    assert told == []
    assert [(each["event"], each["number"]) for each in logs] == [("notifications_lost", 1)]
