"""The sandbox at its honest work: jobs run, report, are cancelled, wait their turn, and end by name."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcp_server.errors import JobDied, OutOfTime, StrategyFailed
from mcp_server.sandbox import Answer, Job, Limits, Sandbox
from mcp_server.sandbox.client import Cancelled
from mcp_server.sandbox.link import Patience
from mcp_server.sandbox.watch import REPORT_EVERY_S
from mcp_server.tests.harness import WORKSPACE
from mcp_server.tests.sandbox_entries import NAME as ENTRIES


def job(entry: str = "source", *, source: str = "", limits: Limits | None = None, **more: Any) -> Job:
    """A job of this folder's entries."""
    arguments = more.pop("arguments", {"source": source})
    return Job(f"{ENTRIES}:{entry}", arguments, limits=limits or Limits(), **more)


def values(sandbox: Sandbox, source: str, **more: Any) -> dict[str, Any]:
    """What the source leaves in `values`."""
    return sandbox.run(job(source=source, **more)).values


@pytest.fixture
def own_sandbox() -> Iterator[Sandbox]:
    """A sandbox for one test, of the tier that runs one job at a time."""
    made = Sandbox(tier="free")
    yield made
    made.close()


class Running:
    """A job on a thread of its own, which has said its process's id."""

    def __init__(self, sandbox: Sandbox, source: str, limits: Limits | None = None) -> None:
        self.said: list[tuple[float, float | None, str]] = []
        self.cancelled = threading.Event()
        self.outcome: Answer | Exception | None = None
        self._begun = threading.Event()
        asked = job(source=f"import os\ntask.report(0, None, str(os.getpid()))\n{source}", limits=limits)
        self._thread = threading.Thread(target=self._run, args=(sandbox, asked))
        self._thread.start()
        assert self._begun.wait(20)

    @property
    def pid(self) -> int:
        return int(self.said[0][2])

    def ended(self) -> Answer | Exception | None:
        """What came of it."""
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.outcome

    def _run(self, sandbox: Sandbox, asked: Job) -> None:
        try:
            self.outcome = sandbox.run(asked, progress=self._note, cancelled=self.cancelled.is_set)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.outcome = error
        finally:
            self._begun.set()

    def _note(self, done: float, total: float | None, text: str) -> None:
        self.said.append((done, total, text))
        self._begun.set()


def status_of(pid: int) -> dict[str, str]:
    """/proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def zygote_of(pid: int) -> int:
    return int(status_of(pid)["PPid"])


def has_ended(pid: int) -> bool:
    """Wait for the end of a process that is another's child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    import select

    try:
        return bool(select.select([descriptor], [], [], 20)[0])
    finally:
        os.close(descriptor)


def test_a_job_is_given_its_arguments_and_arrays_and_answers(sandbox: Sandbox) -> None:
    arrays = {"close": np.array([1.5, np.nan]), "time": np.array([1, 2]), "held": np.array([True, False])}

    answer = sandbox.run(job("echo", arguments={"symbol": "SPX", "n": [1, None]}, arrays=arrays))

    assert answer.values == {"symbol": "SPX", "n": [1, None]}
    assert list(answer.arrays) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(answer.arrays[name], array)


def test_arrays_larger_than_a_pipe_cross_both_ways(sandbox: Sandbox) -> None:
    large = np.arange(400_000, dtype=np.float64)

    answer = sandbox.run(job("echo", arguments={}, arrays={"large": large}))

    np.testing.assert_array_equal(answer.arrays["large"], large)


def test_a_job_can_not_change_its_bars(sandbox: Sandbox) -> None:
    with pytest.raises(JobDied, match="read-only"):
        sandbox.run(job(source="task.arrays['close'][0] = 5", arrays={"close": np.zeros(3)}))


def test_the_process_is_held_by_filter_rules_and_limits(sandbox: Sandbox) -> None:
    running = Running(sandbox, "import time\ntime.sleep(20)")
    status = status_of(running.pid)
    limits = Path(f"/proc/{running.pid}/limits").read_text(encoding="ascii")
    group = os.getpgid(running.pid)
    running.cancelled.set()
    assert isinstance(running.ended(), Cancelled)

    assert (status["Seccomp"], status["NoNewPrivs"], status["Threads"]) == ("2", "1", "1")
    assert {status[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Amb")} == {"0" * 16}
    me = str(os.getuid() or 65534)
    assert status["Uid"].split() == [me] * 4
    if os.getuid() == 0:
        assert status["Gid"].split() == ["65534"] * 4
        assert status["Groups"] == ""
        assert status["CapBnd"] == "0" * 16
    assert group == running.pid
    for line in ("Max core file size        0 ", "Max processes             0 ", "Max open files            64 "):
        assert line in limits


def test_a_job_finds_no_environment_and_stands_in_its_own_empty_folder(sandbox: Sandbox) -> None:
    found = values(
        sandbox,
        "import os, sys\n"
        "values.update(environment=dict(os.environ), files=os.listdir(), flags=sys.flags.isolated, folder=os.getcwd())\n"
        "open('mine.csv', 'w').write('a,b')\n"
        "values['written'] = open('mine.csv').read()",
    )

    assert (found["environment"], found["files"], found["flags"], found["written"]) == ({}, [], 1, "a,b")
    assert not Path(found["folder"]).exists()


def test_what_strategies_import_is_there(sandbox: Sandbox) -> None:
    """Whether or not it was imported before the process was confined, and wherever Python is installed."""
    found = values(
        sandbox,
        "import math, statistics, datetime, collections, itertools, functools, decimal, zoneinfo, random, csv, sqlite3\n"
        "import numpy, numpy.fft, numpy.polynomial, pandas, talib\n"
        "days = pandas.date_range('2024-01-01', periods=50, tz='Asia/Tokyo')\n"
        "frame = pandas.DataFrame({'a': numpy.arange(50.0)}, index=days)\n"
        "values['mean'] = float(frame.a.rolling(3).mean().iloc[-1])\n"
        "values['sma'] = float(talib.SMA(frame.a.to_numpy(), 3)[-1])\n"
        "values['zone'] = str(zoneinfo.ZoneInfo('Europe/Berlin'))",
    )

    assert found == {"mean": 48.0, "sma": 48.0, "zone": "Europe/Berlin"}


def test_the_user_s_code_that_is_wrong_is_told_with_its_line(sandbox: Sandbox) -> None:
    with pytest.raises(StrategyFailed, match="line 12: signals returns a list") as raised:
        sandbox.run(job("refuses", arguments={}))

    assert raised.value.line == 12


def test_a_fault_of_an_entry_is_named(sandbox: Sandbox) -> None:
    with pytest.raises(JobDied, match=r"KeyError: 'x' \(<strategy>, line 2\)"):
        sandbox.run(job(source="\n{}['x']"))
    with pytest.raises(JobDied, match="SystemExit"):
        sandbox.run(job(source="raise SystemExit(0)"))
    with pytest.raises(JobDied, match="can't be started: ModuleNotFoundError"):
        sandbox.run(job("echo", arguments={}, preload=("no_such_module",)))
    with pytest.raises(JobDied, match="no module of this package"):
        sandbox.run(Job("os:getcwd", {}))


def test_progress_arrives_while_the_job_runs_and_ends_with_the_last(sandbox: Sandbox) -> None:
    """The job goes on only when its first report was heard, which a file in its folder tells it."""
    said: list[tuple[float, float | None]] = []
    source = (
        "import os\ntask.report(1, 8, os.getcwd())\nwhile not os.path.exists('heard'): pass\n"
        "for n in range(2, 9): task.report(n, 8, os.getcwd())"
    )

    def hear(done: float, total: float | None, folder: str) -> None:
        said.append((done, total))
        (Path(folder) / "heard").touch()

    sandbox.run(job(source=source), progress=hear)

    assert (said[0], said[-1]) == ((1.0, 8.0), (8.0, 8.0))
    assert said == sorted(set(said))


def test_reports_that_come_too_fast_are_not_passed_on(sandbox: Sandbox) -> None:
    said: list[float] = []

    sandbox.run(
        job(source="for n in range(10_000): task.report(n, None, '')"), progress=lambda done, *_: said.append(done)
    )

    # However slow the machine, it has no time for more.
    assert len(said) <= Limits().wall_s / REPORT_EVERY_S + 1


def test_what_hears_of_progress_may_stop_the_job(sandbox: Sandbox) -> None:
    pids: list[int] = []

    def tired(_done: float, _total: float | None, pid: str) -> None:
        pids.append(int(pid))
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        sandbox.run(job(source="import os\ntask.report(1, 2, str(os.getpid()))\nwhile True: pass"), progress=tired)

    assert has_ended(pids[0])


def test_a_cancelled_job_is_killed(sandbox: Sandbox) -> None:
    running = Running(sandbox, "while True: pass")

    running.cancelled.set()

    assert isinstance(running.ended(), Cancelled)
    assert has_ended(running.pid)


async def test_a_cancelled_task_ends_the_job_of_its_thread(sandbox: Sandbox) -> None:
    import anyio

    pids: list[int] = []
    with anyio.CancelScope() as scope:

        def begun(_done: float, _total: float | None, pid: str) -> None:
            pids.append(int(pid))
            anyio.from_thread.run_sync(scope.cancel)

        asked = job(source="import os\ntask.report(0, None, str(os.getpid()))\nwhile True: pass")
        await anyio.to_thread.run_sync(lambda: sandbox.run(asked, progress=begun))

    assert scope.cancelled_caught
    assert has_ended(pids[0])


def test_several_run_at_once_and_one_more_waits(sandbox: Sandbox) -> None:
    first, second = Running(sandbox, "import time\ntime.sleep(20)"), Running(sandbox, "import time\ntime.sleep(20)")
    with pytest.raises(OutOfTime, match="Other computations"):
        sandbox.run(job(limits=Limits(wall_s=0.3)))

    first.cancelled.set()
    assert sandbox.run(job()).values == {}
    second.cancelled.set()
    assert isinstance(first.ended(), Cancelled)
    assert isinstance(second.ended(), Cancelled)


def test_who_waits_for_a_turn_can_be_cancelled(own_sandbox: Sandbox) -> None:
    running = Running(own_sandbox, "import time\ntime.sleep(20)")
    with pytest.raises(Cancelled):
        own_sandbox.run(job(), cancelled=lambda: True)

    running.cancelled.set()
    assert isinstance(running.ended(), Cancelled)


def test_a_job_ends_with_the_process_that_it_came_from_and_the_next_gets_a_new_one(own_sandbox: Sandbox) -> None:
    running = Running(own_sandbox, "while True: pass")
    zygote = zygote_of(running.pid)

    os.kill(zygote, signal.SIGKILL)

    assert isinstance(running.ended(), JobDied)
    assert has_ended(running.pid)
    assert own_sandbox.run(job()).values == {}


def test_closing_ends_what_runs_and_leaves_nothing(own_sandbox: Sandbox) -> None:
    running = Running(own_sandbox, "import os\nvalues['folder'] = os.getcwd()\nwhile True: pass")
    folder, zygote = Path(os.readlink(f"/proc/{running.pid}/cwd")), zygote_of(running.pid)

    own_sandbox.close()

    assert isinstance(running.ended(), JobDied)
    assert has_ended(running.pid)
    assert has_ended(zygote)
    assert not folder.parent.exists()
    with pytest.raises(JobDied, match="stopping"):
        own_sandbox.run(job())


def test_a_process_that_left_or_hangs_is_replaced() -> None:
    for patience, harm in ((Patience(idle_s=0.05), None), (Patience(silent_s=0.2), signal.SIGSTOP)):
        sandbox = Sandbox(tier="free", patience=patience)
        running = Running(sandbox, "import time\ntime.sleep(0.1)")
        zygote = zygote_of(running.pid)
        assert isinstance(running.ended(), Answer)
        if harm is None:
            assert has_ended(zygote)
        else:
            os.kill(zygote, harm)
            with pytest.raises(OutOfTime):
                sandbox.run(job(limits=Limits(wall_s=0.5)))

        assert sandbox.run(job(source="values['ran'] = 1")).values == {"ran": 1}
        assert has_ended(zygote)
        sandbox.close()


def test_a_request_that_the_process_did_not_live_to_answer_is_made_again(own_sandbox: Sandbox) -> None:
    running = Running(own_sandbox, "import time\ntime.sleep(0.1)")
    zygote = zygote_of(running.pid)
    assert isinstance(running.ended(), Answer)
    os.kill(zygote, signal.SIGSTOP)
    waiting = threading.Timer(0.3, os.kill, (zygote, signal.SIGKILL))
    waiting.start()

    assert own_sandbox.run(job(source="values['ran'] = 1")).values == {"ran": 1}
    waiting.join()


KILLED_SERVER = f"""
import os, sys
from mcp_server.sandbox import Job, Sandbox

def begun(_done, _total, said):
    print(said, flush=True)
    sys.stdin.readline()
    os.kill(os.getpid(), 9)

source = "import os, time\\ntask.report(0, None, f'{{os.getpid()}} {{os.getppid()}} {{os.getcwd()}}')\\nwhile True: pass"
Sandbox(tier="free").run(Job("{ENTRIES}:source", {{"source": source}}), progress=begun)
"""


def test_a_server_that_is_killed_leaves_no_process_and_no_file() -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", KILLED_SERVER], cwd=WORKSPACE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdin is not None
    assert server.stdout is not None
    pid, zygote, folder = server.stdout.readline().split()
    server.stdin.write("\n")
    server.communicate()

    assert server.returncode == -signal.SIGKILL
    assert has_ended(int(pid))
    assert has_ended(int(zygote))
    assert not Path(folder).parent.exists()


NO_TEMPORARY_FOLDER = f"""
import os, pathlib, sys, tempfile
tempfile.tempdir = "/nonexistent"
from mcp_server.errors import JobDied
from mcp_server.sandbox import Job, Sandbox

for spare in (pathlib.Path(sys.argv[1]), None):
    sandbox = Sandbox(tier="free", spare=spare)
    try:
        print(sandbox.run(Job("{ENTRIES}:source", {{"source": "open('x', 'w').write('y')\\nvalues['read'] = open('x').read()"}})))
    except JobDied as error:
        print(error)
    sandbox.close()
"""


def test_the_data_folder_stands_in_for_a_temporary_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", NO_TEMPORARY_FOLDER, str(tmp_path)]
    ran = subprocess.run(command, cwd=WORKSPACE, capture_output=True, text=True, check=True)

    with_spare, without = ran.stdout.splitlines()
    assert "{'read': 'y'}" in with_spare
    assert without == "There is no room for the computation's folder: No such file or directory."
    assert list(tmp_path.iterdir()) == []


WITHOUT_LANDLOCK = f"""
import errno, json, os, sys
from mcp_server.errors import SandboxUnavailable
from mcp_server.sandbox import Job, Sandbox, bpf, kernel

kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
kernel.install_filter(bpf.assemble([
    bpf.load(bpf.AT_NUMBER),
    *bpf.when(bpf.JEQ_K, kernel.NR_LANDLOCK_CREATE_RULESET, [bpf.refuse(errno.EOPNOTSUPP)]),
    bpf.answer(bpf.RET_ALLOW),
]))
sandbox = Sandbox(tier="free", unconfined=sys.argv[1] == "unconfined")
try:
    print(json.dumps(sandbox.run(Job("{ENTRIES}:source", {{"source": "values['ran'] = True"}})).values))
except SandboxUnavailable as error:
    print(error)
finally:
    sandbox.close()
"""


def on_an_old_kernel(mode: str) -> str:
    """What a job says on a kernel that answers as one without Landlock does."""
    command = [sys.executable, "-c", WITHOUT_LANDLOCK, mode]
    return subprocess.run(command, cwd=WORKSPACE, capture_output=True, text=True, check=True).stdout


def test_without_landlock_no_strategy_is_run() -> None:
    said = on_an_old_kernel("confined")

    assert said.startswith("This machine's kernel can't confine strategy code")
    assert "--unconfined" in said


def test_told_to_the_server_runs_what_it_can_not_confine() -> None:
    assert json.loads(on_an_old_kernel("unconfined")) == {"ran": True}
