"""Strategies that take time, memory or processes: each ends in a named error within its limits.

Each attack runs as whoever runs the tests; where that is root, test_sandbox_users.py runs it again as an ordinary user.
"""

from __future__ import annotations

import os
import platform
import resource
import select
import threading
from pathlib import Path

import pytest

from mcp_server.errors import Forbidden, OutOfMemory, OutOfTime
from mcp_server.sandbox import Answer, Job, Limits, Sandbox
from mcp_server.sandbox.jobs import MIB
from mcp_server.tests.attacks import outcome, source
from mcp_server.tests.sandbox_entries import NAME as ENTRIES

ONE_SECOND = Limits(wall_s=1, cpu_s=10, memory_bytes=64 * MIB)


@pytest.mark.parametrize(
    "text",
    [
        "while True: pass",
        "import time\ntime.sleep(100)",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "import signal\nfor n in set(signal.Signals) - {9, 19}: signal.signal(n, signal.SIG_IGN)\nwhile True: pass",
        "while True: print('x' * 100_000, flush=True)",
        "import os\nwhile True: os.write(1, b'x' * 100_000)",
        "import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')",
        "10 ** 10 ** 10",
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
        "import gc\nwhile True: gc.collect()",
        "while True: task.report(1, 2, 'x' * 10_000)",
    ],
)
def test_what_never_ends_is_ended(sandbox: Sandbox, text: str) -> None:
    assert isinstance(outcome(sandbox, text, limits=ONE_SECOND), OutOfTime)


@pytest.mark.parametrize("handler", ["", "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\n"])
def test_processor_time_is_limited_by_itself(sandbox: Sandbox, handler: str) -> None:
    """The wall clock would end it only after this test's own time is over."""
    found = outcome(sandbox, handler + "while True: pass", limits=Limits(wall_s=600, cpu_s=1))

    assert isinstance(found, OutOfTime)


@pytest.mark.parametrize(
    "text",
    [
        "import os\nwhile True: os.fork()",
        "import os\nos.forkpty()",
        "import subprocess\nsubprocess.run(['/bin/true'])",
        "import os\nos.posix_spawn('/bin/true', ['true'], {})",
        "import os\nos.execv('/bin/true', ['true'])",
        "import multiprocessing as m\nm.get_context('fork').Process(target=print).start()",
        "import multiprocessing as m\nm.get_context('spawn').Process(target=print).start()",
        "import threading\nthreading.Thread(target=print).start()",
    ],
)
def test_no_process_or_thread_is_started(sandbox: Sandbox, text: str) -> None:
    found = outcome(sandbox, text)

    assert isinstance(found, Forbidden), found
    assert "may not" in str(found)


# By name, with arguments that would work: asm/unistd_64.h, asm-generic/unistd.h.
RAW = {
    "x86_64": {
        "fork": 57, "vfork": 58, "clone": 56, "clone3": 435, "execve": 59, "socket": 41, "socketpair": 53, "ptrace": 101,
        "process_vm_readv": 310, "mount": 165, "unshare": 272, "setns": 308, "bpf": 321, "perf_event_open": 298,
        "io_uring_setup": 425, "keyctl": 250, "userfaultfd": 323, "open_by_handle_at": 304, "memfd_create": 319,
        "pidfd_open": 434, "shmget": 29, "inotify_init1": 294, "setrlimit": 160, "seccomp": 317, "setsid": 112,
    },
    "aarch64": {
        "clone": 220, "clone3": 435, "execve": 221, "socket": 198, "socketpair": 199, "ptrace": 117, "process_vm_readv": 270,
        "mount": 40, "unshare": 97, "setns": 268, "bpf": 280, "perf_event_open": 241, "io_uring_setup": 425, "keyctl": 219,
        "userfaultfd": 282, "open_by_handle_at": 265, "memfd_create": 279, "pidfd_open": 434, "shmget": 194,
        "inotify_init1": 26, "setrlimit": 164, "seccomp": 277, "setsid": 157,
    },
}  # fmt: skip

RAW_CALLS = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
for name, number in task.arguments['calls'].items():
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(0)] * 6)
    values[name] = 'done' if result >= 0 else errno.errorcode[ctypes.get_errno()]
"""


def test_the_kernel_itself_refuses_calls_that_go_round_python(sandbox: Sandbox) -> None:
    calls = RAW[platform.machine()]

    found = outcome(sandbox, RAW_CALLS, arguments={"calls": calls})

    assert isinstance(found, Answer)
    assert found.values == {name: "ENOSYS" if name == "clone3" else "EPERM" for name in calls}


def test_the_calls_of_another_architecture_end_the_job(sandbox: Sandbox) -> None:
    """An i386 fork by `int 0x80` and an x32 one have other numbers: a filter of numbers alone would let them pass."""
    i386 = (
        "import ctypes, mmap\n"
        "code = mmap.mmap(-1, 4096, prot=7)\n"
        "code.write(bytes.fromhex('b802000000cd80c3'))\n"
        "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()"
    )
    x32 = "import ctypes\nctypes.CDLL(None).syscall(ctypes.c_long(0x40000000 + 57))"
    for text in (i386, x32) if platform.machine() == "x86_64" else ():
        assert isinstance(outcome(sandbox, text), Forbidden)


@pytest.mark.parametrize(
    "text",
    [
        "import os\nos.kill(os.getppid(), 9)",
        "import os\nos.kill(task.arguments['server'], 9)",
        "import os\nos.kill(-1, 9)",
        "import os\nos.killpg(os.getpgid(os.getppid()), 9)",
        "import resource\nresource.prlimit(task.arguments['server'], resource.RLIMIT_NOFILE, (0, 0))",
        "import os\nos.setpriority(os.PRIO_PROCESS, task.arguments['server'], 19)",
        "import os\nos.sched_setaffinity(task.arguments['server'], {0})",
        "import fcntl, os\nr, w = os.pipe()\nfcntl.fcntl(r, fcntl.F_SETOWN, task.arguments['server'])",
    ],
)
def test_the_server_can_not_be_harmed(sandbox: Sandbox, text: str) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    assert isinstance(outcome(sandbox, text, arguments={"server": os.getpid()}), Forbidden)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limits


@pytest.mark.parametrize(
    "text",
    [
        "[0] * (10 * 1024 ** 3 // 8)",
        "x = []\nwhile True: x.append('y' * 1_000_000)",
        "import numpy\nnumpy.ones(10 * 1024 ** 3 // 8)",
        "x = bytearray()\nwhile True: x.extend(bytes(1_000_000))",
        "'x' * 10 ** 11",
        "import mmap\nmmap.mmap(-1, 10 * 1024 ** 3)",
    ],
)
def test_a_large_list_is_out_of_memory(sandbox: Sandbox, text: str) -> None:
    assert isinstance(outcome(sandbox, text), OutOfMemory)


def test_memory_is_limited_also_where_the_errors_are_swallowed(sandbox: Sandbox) -> None:
    limit = 64 * MIB
    peaks: list[int] = []
    threads: list[threading.Thread] = []
    text = (
        "import os\ntask.report(0, None, str(os.getpid()))\n"
        "x = []\nwhile True:\n    try: x.append(bytearray(100_000))\n    except MemoryError: pass"
    )

    def watch(_done: float, _total: float | None, pid: str) -> None:
        threads.append(threading.Thread(target=lambda: peaks.append(growth_of(int(pid)))))
        threads[0].start()

    with pytest.raises((OutOfTime, OutOfMemory)):
        sandbox.run(source(text, limits=Limits(wall_s=60, cpu_s=2, memory_bytes=limit)), progress=watch)
    threads[0].join()

    assert 0 < peaks[0] < limit + 32 * MIB


def growth_of(pid: int) -> int:
    """The most that a process has more than now, until it ends."""
    sizes = [resident_bytes(pid)]
    ended = os.pidfd_open(pid)
    while not select.select([ended], [], [], 0.005)[0]:
        sizes.append(resident_bytes(pid))
    os.close(ended)
    return max(sizes) - sizes[0]


def resident_bytes(pid: int) -> int:
    """0 when it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except (FileNotFoundError, ProcessLookupError):
        return 0


def test_pages_shared_with_other_jobs_count_once_they_are_changed(sandbox: Sandbox) -> None:
    """A forked process may write to all that its parent has: each page is then copied, which no rlimit counts."""
    entry = f"{ENTRIES}:touches"
    with pytest.raises(OutOfMemory):
        sandbox.run(Job(entry, {}, limits=Limits(wall_s=60, memory_bytes=16 * MIB)))
    assert sandbox.run(Job(entry, {}, limits=Limits(memory_bytes=256 * MIB))).values == {}
