"""How long backtests and sweeps take for a client of a free workspace, and how much memory all its processes use then."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mcp.client import Client
from mcp_server.tests.harness import running_server

BARS = 10_000
RUNS = 3
LOOK_EVERY_S = 0.2
GRID = {"fast": list(range(5, 25)), "slow": list(range(30, 130, 10))}


class Memory:
    """The most that a process and all that it started used at once, in MB: proportional set sizes, summed."""

    def __init__(self, root: int) -> None:
        self._root = root
        self.peak = 0.0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look all the time while the block runs."""
        over = threading.Event()
        watcher = threading.Thread(target=self._look, args=(over,))
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def _look(self, over: threading.Event) -> None:
        while not over.wait(LOOK_EVERY_S):
            self.peak = max(self.peak, sum(map(_size_mb, _family(self._root))))


def _family(pid: int) -> list[int]:
    """The process and its descendants."""
    try:
        text = " ".join(each.read_text() for each in Path(f"/proc/{pid}/task").glob("*/children"))
    except OSError:
        return []
    return [pid, *(found for child in text.split() for found in _family(int(child)))]


def _size_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        # It ended just now.
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def walk_csv(bars: int) -> str:
    """A random walk as CSV, the same each time."""
    draw = random.Random(1)  # noqa: S311 - prices, no secrets
    price, day, rows = 100.0, date(1900, 1, 1), ["date,open,high,low,close"]
    for _ in range(bars):
        close = price * (1 + draw.gauss(0.0003, 0.01))
        rows.append(f"{day},{price:.4f},{max(price, close):.4f},{min(price, close):.4f},{close:.4f}")
        price, day = close, day + timedelta(days=1)
    return "\n".join(rows)


async def timed(client: Client, tool: str, **arguments: Any) -> tuple[float, int]:
    """Seconds that a call takes, and how often progress was told."""
    told: list[float] = []

    async def progress(*report: Any, **_named: Any) -> None:
        told.append(report[0])

    begun = time.perf_counter()
    result = await client.call_tool(tool, arguments, progress_callback=progress, read_timeout_seconds=300)
    if result.is_error:
        raise SystemExit(f"{tool} failed: {result.content}")
    return time.perf_counter() - begun, len(told)


async def measure(client: Client) -> list[str]:
    crossover: dict[str, Any] = {"strategy": "sma_crossover", "symbol": "WALK"}
    await timed(client, "import_bars", symbol="WALK", csv=walk_csv(BARS))
    first, _ = await timed(client, "run_backtest", **crossover)
    # Each run has another fee, so that none is the stored one.
    later = [(await timed(client, "run_backtest", **crossover, fee_bps=run))[0] for run in range(RUNS)]
    swept, told = await timed(client, "sweep_strategy", strategy="sma_crossover", symbol="SPX", grid=GRID)
    stored, _ = await timed(client, "sweep_strategy", strategy="sma_crossover", symbol="SPX", grid=GRID)
    return [
        f"backtest of an SMA crossover over {BARS:,} bars, chart and look-ahead check included: {min(later):.2f} s"
        f" (the first, which imports the libraries: {first:.2f} s)",
        f"sweep of 200 runs over 5,031 bars: {swept:.2f} s, progress told {told} times (again, stored: {stored:.3f} s)",
    ]


async def run(folder: Path) -> None:
    with running_server(folder, Ed25519PrivateKey.generate(), options=["--tier", "free"]) as server:
        memory = Memory(server.process.pid)
        with memory.watched():
            async with server.client() as client:
                lines = await measure(client)
    sys.stdout.write("\n".join([*lines, f"most memory of all its processes then: {memory.peak:.0f} MB of 512"]) + "\n")


def main() -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))


if __name__ == "__main__":
    main()
