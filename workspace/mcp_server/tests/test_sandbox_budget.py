"""What the jobs of a tier may use together."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from mcp_server.errors import OutOfMemory, OutOfTime
from mcp_server.sandbox import Job, Limits, Sandbox
from mcp_server.sandbox.budget import BUDGETS
from mcp_server.sandbox.jobs import MIB
from mcp_server.tests.sandbox_entries import NAME as ENTRIES

EVERY_LIBRARY = ("bt", "matplotlib.backends.backend_agg", "talib")

# Takes what it may, and writes to what it shares with the process that it came from.
GREEDY = """
import gc
gc.unfreeze()
own = []
while True:
    try:
        gc.collect()
        own.append(bytearray(1_000_000))
    except MemoryError:
        pass
"""


def test_a_tier_lowers_what_a_job_asks_for_and_raises_nothing() -> None:
    free = BUDGETS["free"]
    much = Limits(wall_s=10, cpu_s=99, memory_bytes=1 << 40, output_bytes=1 << 40, disk_bytes=1 << 40)
    little = Limits(wall_s=10, cpu_s=5, memory_bytes=MIB, output_bytes=1, disk_bytes=1)

    assert free.lower(much) == Limits(10, 10, free.memory_bytes, free.output_bytes, free.disk_bytes)
    assert free.lower(little) == little


@pytest.mark.parametrize(("tier", "pod_bytes"), [("free", 512 * MIB), ("pro", 2048 * MIB), ("enterprise", 4096 * MIB)])
def test_the_server_the_libraries_and_all_jobs_fit_into_the_pod(tier: str, pod_bytes: int) -> None:
    """Source: DESIGN.md, section 5: memory of the tiers. 120 MB for the server, 240 for the libraries."""
    budget = BUDGETS[tier]

    assert 360 * MIB + budget.at_once * (budget.memory_bytes + budget.disk_bytes + budget.output_bytes) < pod_bytes


def proportional_bytes(pid: int) -> int:
    """What a process has, its part of what it shares with others included; 0 when it has ended."""
    try:
        found = re.search(
            r"^Pss: +(\d+) kB$", Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii"), re.MULTILINE
        )
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(found[1]) * 1024 if found else 0


def test_a_greedy_job_of_a_free_workspace_stays_within_the_pod() -> None:
    sandbox = Sandbox(tier="free")
    sums: list[int] = []
    over = threading.Event()

    def watch(_done: float, _total: float | None, pids: str) -> None:
        job, zygote = map(int, pids.split())

        def add_up() -> None:
            while not over.wait(0.01):
                sums.append(proportional_bytes(job) + proportional_bytes(zygote))

        threading.Thread(target=add_up).start()

    source = f"import os\ntask.report(0, None, f'{{os.getpid()}} {{os.getppid()}}')\n{GREEDY}"
    job = Job(f"{ENTRIES}:source", {"source": source}, preload=EVERY_LIBRARY, limits=Limits(wall_s=20, cpu_s=3))
    with pytest.raises((OutOfMemory, OutOfTime)):
        sandbox.run(job, progress=watch)
    over.set()
    sandbox.close()

    assert 100 * MIB < max(sums) < (512 - 120) * MIB
