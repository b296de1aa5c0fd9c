"""Processes of this machine, tried on real ones."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from provisioning.backends._process import processes

WAITS = "import signal; print('up', flush=True); signal.pause()"
IGNORES = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAITS}"


def started(program: str, argument: str = "--mark=a b") -> subprocess.Popen[str]:
    child = subprocess.Popen([sys.executable, "-c", program, argument], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    return child


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    with started(WAITS) as child:
        yield child
        child.kill()


def test_an_identity_stays_as_long_as_the_process(child: subprocess.Popen[str]) -> None:
    known_as = processes.identity(child.pid)

    assert known_as is not None
    assert processes.identity(child.pid) == known_as
    assert processes.identity(os.getpid()) not in {known_as, None}


def test_an_ended_process_has_none_even_before_its_parent_took_note(child: subprocess.Popen[str]) -> None:
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert processes.identity(child.pid) is None


def test_a_process_is_found_by_its_whole_argument_only(child: subprocess.Popen[str]) -> None:
    assert list(processes.started_with("--mark=a b")) == [child.pid]
    assert processes.started_with("--mark=a") == {}


async def test_a_process_is_asked_to_end(child: subprocess.Popen[str]) -> None:
    await processes.end(processes.started_with("--mark=a b"), grace_s=5)

    assert child.wait() == -signal.SIGTERM


async def test_one_that_does_not_end_is_killed() -> None:
    with started(IGNORES, "--mark=deaf") as child:
        await processes.end(processes.started_with("--mark=deaf"), grace_s=0.1)

        assert child.wait() == -signal.SIGKILL


async def test_a_later_bearer_of_the_number_is_left_alone(child: subprocess.Popen[str]) -> None:
    await processes.end({child.pid: "another boot:17"}, grace_s=0.1)

    assert child.poll() is None
