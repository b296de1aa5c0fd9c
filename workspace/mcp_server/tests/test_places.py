"""Heavy calls wait for each other, and nothing else waits for them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mcp.server.mcpserver.exceptions import ToolError

from mcp_server.tests.harness import call, get, running_server
from mcp_server.tools.places import Places

# More than the server has worker threads.
CALLS = 45
ENDLESS = """
def signals(bars, *, n: int = 1):
    while True:
        pass
"""


async def test_so_many_are_in_at_once_and_the_others_come_in_their_order() -> None:
    places, entered = Places(2), []
    going_on = asyncio.Event()

    async def work(number: int) -> None:
        async with places.one():
            entered.append(number)
            await going_on.wait()

    tasks = [asyncio.create_task(work(number)) for number in range(6)]
    for _ in range(20):
        await asyncio.sleep(0)

    assert entered == [0, 1]
    tasks[2].cancel()
    going_on.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert entered == [0, 1, 3, 4, 5]


async def test_one_that_waits_too_long_is_told_so_and_one_that_fails_gives_its_place_back() -> None:
    places = Places(1, patience_s=0)

    async def take(*, failing: bool) -> None:
        async with places.one():
            if failing:
                raise ZeroDivisionError

    async with places.one():
        with pytest.raises(ToolError, match="Other computations of this workspace took all the time"):
            await take(failing=False)
    with pytest.raises(ZeroDivisionError):
        await take(failing=True)
    await take(failing=False)


async def test_more_heavy_calls_than_threads_hold_up_no_quick_one(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    """Or 45 backtests at once would stop conversations and preferences until the last has ended."""
    with running_server(tmp_path, key) as server:
        async with server.client() as client:
            await call(client, "save_strategy", name="endless", source=ENDLESS)
            heavy = [
                asyncio.create_task(
                    client.call_tool("run_backtest", {"strategy": "endless", "symbol": "SPX", "params": {"n": n}})
                )
                for n in range(CALLS)
            ]
            while get(server.activity_url).json()["in_flight"] < CALLS:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)

            async with asyncio.timeout(60):
                assert "language" in await call(client, "get_preferences")
            assert not any(task.done() for task in heavy)
            for task in heavy:
                task.cancel()
            await asyncio.gather(*heavy, return_exceptions=True)
