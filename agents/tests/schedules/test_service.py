"""The service of a worker process: what is due is done soon, by any number of processes, whatever one alert meets.

Source: DESIGN section 2: schedules use the same leases.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from accounts.licences import Licence, active_licence
from agents.mcp.pool import pool as connections
from agents.schedules import service
from agents.schedules.rows import AlertSpec, FirstLook, TaskSpec, Where, add_alert, add_task, schedules_of
from agents.schedules.rules import Rule, zone_of
from gateway.db import connection
from gateway.leases import Lease
from gateway.services import Services
from gateway.wakeups import Wakeups

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users", "pool")]
PATIENCE_S = 20
WEB = Where("web", {})


@asynccontextmanager
async def processes(number: int) -> AsyncIterator[None]:
    """Worker processes with this service alone."""
    all_services = [Services(Lease("test"), Wakeups()) for _ in range(number)]
    for each in all_services:
        await asyncio.to_thread(each.lease.acquire)
    running = [asyncio.create_task(service.run(each)) for each in all_services]
    try:
        yield
    finally:
        for each in all_services:
            each.stopping.set()
            each.wakeups.wake_all()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*running)
        for each in all_services:
            await asyncio.to_thread(each.lease.release)


async def count(query: str) -> int:
    async with connection() as conn:
        row = await (await conn.execute(query)).fetchone()
    assert row is not None
    return int(row[0])


async def until(query: str, wanted: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await count(query) != wanted:  # noqa: ASYNC110 - another task does it
            await asyncio.sleep(0.02)


async def test_due_tasks_of_many_users_are_done_once_by_three_processes(users: dict[str, str]) -> None:
    zone = zone_of("UTC")
    assert zone is not None
    for user in ("demo-free", "demo-pro", "demo-enterprise"):
        async with connection() as conn, conn.transaction():
            for _ in range(3):
                licence = await active_licence(user)
                await add_task(conn, licence, TaskSpec(Rule("daily", 8, 0), zone, "Hello"), where=WEB)
    async with connection() as conn:
        await conn.execute("UPDATE schedules SET due_at = clock_timestamp()")

    async with processes(3):
        await until("SELECT count(*) FROM turns", 9)
        await until("SELECT count(*) FROM schedules WHERE due_at <= clock_timestamp()", 0)

    assert await count("SELECT count(*) FROM turns") == 9


async def test_an_alert_that_breaks_holds_up_no_other(mine: Licence) -> None:
    csv = "date,open,high,low,close\n2024-01-01,9,9,9,9\n2024-01-02,9,9,4,4"
    outcome = await connections().session(mine).call_tool("import_bars", {"symbol": "GOOD", "csv": csv})
    assert not outcome.failed, outcome.text
    async with connection() as conn, conn.transaction():
        look = FirstLook("GOOD", "2024-01-01", Decimal(9), armed=True)
        await add_alert(conn, mine, AlertSpec("BAD", "below", Decimal(5)), where=WEB, look=FirstLook())
        await add_alert(conn, mine, AlertSpec("GOOD", "below", Decimal(5)), where=WEB, look=look)
        await conn.execute("UPDATE schedules SET spec = '{}' WHERE number = 1")

    async with processes(2):
        await until("SELECT count(*) FROM schedules WHERE holder IS NULL AND run_at IS NOT NULL", 2)

    [_, good] = await schedules_of("demo-pro")
    assert good.last_price == 4
    assert await count("SELECT count(*) FROM schedules WHERE number = 1 AND holder IS NULL AND reason <> ''") == 1
    assert await count("SELECT count(*) FROM turns WHERE external_id LIKE 'alert:%'") == 1
