"""The sandbox at its honest work: jobs run, report, are cancelled, wait their turn."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from mcp_server.errors import JobDied, OutOfTime, StrategyFailed
from mcp_server.sandbox import Job, Limits, Sandbox
from mcp_server.sandbox.client import Cancelled
from mcp_server.sandbox.watch import REPORT_EVERY_S
from mcp_server.tests.running_jobs import Running, has_ended, job, status_of, values


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
