"""The sandbox's processes: how they begin, end together, and are replaced."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mcp_server.errors import JobDied, OutOfTime
from mcp_server.sandbox import Limits, Sandbox
from mcp_server.sandbox.client import Cancelled
from mcp_server.sandbox.link import Patience
from mcp_server.tests.harness import WORKSPACE
from mcp_server.tests.running_jobs import PATIENCE_S, Running, has_ended, job, values, zygote_of
from mcp_server.tests.sandbox_entries import NAME as ENTRIES


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


def started_zygote(sandbox: Sandbox) -> int:
    """Its process id. Started by this thread: the end of the thread that starts it would wake it from a stop."""
    return int(values(sandbox, "import os\nvalues['zygote'] = os.getppid()")["zygote"])


def await_word(sandbox: Sandbox) -> None:
    """Until the process that jobs come from has dealt with the request that it got last."""
    control = sandbox._link._control
    assert control
    assert select.select([control], [], [], PATIENCE_S)[0]


def test_a_process_that_left_or_hangs_is_replaced() -> None:
    for patience, harm in ((Patience(idle_s=0.05), None), (Patience(silent_s=0.2), signal.SIGSTOP)):
        sandbox = Sandbox(tier="free", patience=patience)
        zygote = started_zygote(sandbox)
        if harm is None:
            assert has_ended(zygote)
        else:
            await_word(sandbox)
            os.kill(zygote, harm)
            with pytest.raises(OutOfTime):
                sandbox.run(job(limits=Limits(wall_s=0.5)))

        assert sandbox.run(job(source="values['ran'] = 1")).values == {"ran": 1}
        assert has_ended(zygote)
        sandbox.close()


def test_a_process_that_dealt_with_a_job_that_was_given_up_does_not_hang() -> None:
    """Source: nobody heard it say so; a minute later it was replaced, and its end took the next job's folder away."""
    # Whatever is still open at the next request has been for too long.
    sandbox = Sandbox(tier="free", patience=Patience(silent_s=0))
    with pytest.raises(Cancelled):
        sandbox.run(job(), cancelled=lambda: True)
    await_word(sandbox)
    process = sandbox._link._process

    assert process
    assert started_zygote(sandbox) == process.pid
    sandbox.close()


def test_a_process_that_leaves_late_for_another_one_takes_no_folder_away() -> None:
    sandbox = Sandbox(tier="free", patience=Patience(silent_s=0.2))
    zygote = started_zygote(sandbox)
    await_word(sandbox)
    os.kill(zygote, signal.SIGSTOP)
    with pytest.raises(OutOfTime):
        sandbox.run(job(limits=Limits(wall_s=0.5)))
    slow = threading.Timer(0.3, os.kill, (zygote, signal.SIGCONT))
    slow.start()

    assert started_zygote(sandbox) != zygote
    slow.join()
    sandbox.close()


def test_a_process_that_is_told_to_leave_takes_no_folder_away(own_sandbox: Sandbox) -> None:
    """Also when the server closes its end before it has read all: that is the first thing that the process then hears."""
    folder, zygote = own_sandbox._scratch.folder, started_zygote(own_sandbox)
    await_word(own_sandbox)

    own_sandbox._link.close()

    assert has_ended(zygote)
    assert folder.is_dir()


def test_a_folder_that_was_swept_away_ends_its_job_in_words(own_sandbox: Sandbox) -> None:
    """Source: what cleans /tmp on a machine may take the folder of a job that runs."""
    running = Running(own_sandbox, "while True: pass")
    folder = Path(os.readlink(f"/proc/{running.pid}/cwd"))
    folder.rmdir()

    assert "folder can't be read any more" in str(running.ended())
    assert own_sandbox.run(job(source="values['ran'] = 1")).values == {"ran": 1}


def test_a_request_that_the_process_did_not_live_to_answer_is_made_again(own_sandbox: Sandbox) -> None:
    zygote = started_zygote(own_sandbox)
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


@pytest.mark.parametrize("stopped", [False, True], ids=["", "while its zygote is stopped"])
def test_a_server_that_is_killed_leaves_no_process_and_no_file(stopped: bool) -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", KILLED_SERVER], cwd=WORKSPACE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdin is not None
    assert server.stdout is not None
    pid, zygote, folder = server.stdout.readline().split()
    if stopped:
        os.kill(int(zygote), signal.SIGSTOP)
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
