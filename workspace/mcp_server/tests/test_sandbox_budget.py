"""What the jobs of a tier may use together."""

from __future__ import annotations

import math
import re
import threading
from pathlib import Path

import pytest

from mcp_server.errors import OutOfMemory, OutOfTime
from mcp_server.sandbox import Job, Limits, Sandbox
from mcp_server.sandbox.budget import BUDGETS, Turns
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
    job = Job(f"{ENTRIES}:source", {"source": source}, preload=EVERY_LIBRARY, limits=Limits(wall_s=100, cpu_s=3))
    with pytest.raises((OutOfMemory, OutOfTime)):
        sandbox.run(job, progress=watch)
    over.set()
    sandbox.close()

    assert 100 * MIB < max(sums) < (512 - 120) * MIB


class Queue:
    """Threads that want a turn, one after the other, while the only one is held."""

    def __init__(self) -> None:
        self.turns = Turns(1)
        self.served: list[str] = []
        self.threads: list[threading.Thread] = []

    def join(self, name: str, *, patient: bool) -> None:
        def wait() -> None:
            with self.turns.taken(deadline=math.inf, stop=lambda: None, patient=patient):
                self.served.append(name)

        self.threads.append(threading.Thread(target=wait))
        self.threads[-1].start()
        while len(self.turns._waiting) < len(self.threads):
            pass


def test_whoever_waits_goes_before_what_nobody_waits_for_and_the_first_before_the_second() -> None:
    """Source: a backlog of embeddings took every turn of a free workspace, and backtests ran out of time."""
    queue = Queue()
    with queue.turns.taken(deadline=math.inf, stop=lambda: None):
        for name, patient in (("embed 1", True), ("backtest 1", False), ("embed 2", True), ("backtest 2", False)):
            queue.join(name, patient=patient)
    for thread in queue.threads:
        thread.join()

    assert queue.served == ["backtest 1", "backtest 2", "embed 1", "embed 2"]
    assert queue.turns.running == 0


def test_who_leaves_the_queue_holds_nobody_up() -> None:
    class Left(Exception):
        pass

    def leave() -> None:
        raise Left

    turns = Turns(1)
    with turns.taken(deadline=math.inf, stop=lambda: None):
        with pytest.raises(Left), turns.taken(deadline=math.inf, stop=leave):
            pass
        with pytest.raises(OutOfTime), turns.taken(deadline=0, stop=lambda: None):
            pass
    with turns.taken(deadline=0, stop=lambda: None):
        assert turns.running == 1


def test_a_job_goes_before_patient_ones_that_came_earlier() -> None:
    """Source: the same, in the sandbox of a free workspace."""
    sandbox, done, started = Sandbox(tier="free"), [], threading.Event()

    def run(name: str, source: str, *, patient: bool) -> None:
        job = Job(f"{ENTRIES}:source", {"source": source}, patient=patient, limits=Limits(wall_s=60, cpu_s=10))
        sandbox.run(job, progress=lambda *_: started.set())
        done.append(name)

    hold = "import time\ntask.report(1, 1, 'on')\nwhile not os.path.exists('go'): time.sleep(0.01)"
    holder = threading.Thread(target=run, args=("holder", f"import os\n{hold}"), kwargs={"patient": True})
    holder.start()
    assert started.wait(60)
    waiting = [
        threading.Thread(target=run, args=(name, "values['ok'] = 1"), kwargs={"patient": patient})
        for name, patient in (("embed", True), ("backtest", False))
    ]
    for count, thread in enumerate(waiting, 1):
        thread.start()
        while len(sandbox._turns._waiting) < count:
            pass
    (folder,) = sandbox._scratch.folder.glob("job-*")
    (folder / "go").touch()
    for thread in (holder, *waiting):
        thread.join()
    sandbox.close()

    assert done == ["holder", "backtest", "embed"]
