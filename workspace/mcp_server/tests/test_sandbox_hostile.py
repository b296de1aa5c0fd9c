"""Strategies that mean harm: each ends in a named error within its limits, and the sandbox goes on serving.

All of it runs as whoever runs the tests; where that is root, test_sandbox_users.py runs it again as an ordinary user.
"""

from __future__ import annotations

import os
import platform
import resource
import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcp_server.errors import Forbidden, JobDied, OutOfMemory, OutOfTime, OutputTooLarge, SandboxFailed
from mcp_server.sandbox import Answer, Job, Limits, Sandbox
from mcp_server.sandbox.jobs import MIB
from mcp_server.storage.database import FILE_NAME, Database
from mcp_server.tests.sandbox_entries import NAME as ENTRIES

LIMITS = Limits(wall_s=10, cpu_s=10, memory_bytes=64 * MIB, output_bytes=MIB, disk_bytes=4 * MIB)
ONE_SECOND = Limits(wall_s=1, cpu_s=10, memory_bytes=64 * MIB)

# Whatever the machine does besides.
GRACE_S = 4.0


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """The sandbox that all of these attack."""
    made = Sandbox(tier="pro")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def goes_on_serving(sandbox: Sandbox) -> Iterator[None]:
    """Whatever a test did, the next job is served and nothing of the earlier one is left."""
    yield
    assert sandbox.run(source("values['ok'] = 1")).values == {"ok": 1}
    assert list(sandbox._scratch.folder.glob("job-*")) == []


def source(text: str, *, limits: Limits = LIMITS, **arguments: Any) -> Job:
    """A job that runs this as a strategy; `arguments` are in `task.arguments`."""
    return Job(f"{ENTRIES}:source", {"source": text, **arguments}, limits=limits)


def outcome(sandbox: Sandbox, text: str, *, limits: Limits = LIMITS, **arguments: Any) -> Answer | SandboxFailed:
    """The answer or the named error, within the wall clock."""
    begin = time.monotonic()
    try:
        return sandbox.run(source(text, limits=limits, **arguments))
    except SandboxFailed as error:
        return error
    finally:
        assert time.monotonic() - begin < limits.wall_s + GRACE_S


# Time


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
    begin = time.monotonic()
    found = outcome(sandbox, handler + "while True: pass", limits=Limits(wall_s=30, cpu_s=1))

    assert isinstance(found, OutOfTime)
    assert time.monotonic() - begin < 20


# Processes and threads


@pytest.mark.parametrize(
    "text",
    [
        "import os\nwhile True: os.fork()",
        "import os\nos.forkpty()",
        "import subprocess\nsubprocess.run(['/bin/true'])",
        "import os\nos.system('true') and 1/0\nos.posix_spawn('/bin/true', ['true'], {})",
        "import os\nos.execv('/bin/true', ['true'])",
        "import multiprocessing as m\nm.get_context('fork').Process(target=print).start()",
        "import multiprocessing as m\nm.get_context('spawn').Process(target=print).start()",
        "import pty\npty.fork()",
    ],
)
def test_no_process_is_started(sandbox: Sandbox, text: str) -> None:
    found = outcome(sandbox, text)

    assert isinstance(found, Forbidden), found
    assert "may not" in str(found)


def test_no_thread_is_started(sandbox: Sandbox) -> None:
    found = outcome(sandbox, "import threading\nthreading.Thread(target=print).start()")

    assert isinstance(found, JobDied)
    assert "can't start new thread" in str(found)


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

    found = outcome(sandbox, RAW_CALLS, calls=calls)

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


# Other processes


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

    assert isinstance(outcome(sandbox, text, server=os.getpid()), Forbidden)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limits


# Memory


@pytest.mark.parametrize(
    "text",
    [
        "[0] * (10 * 1024 ** 3 // 8)",
        "x = []\nwhile True: x.append('y' * 1_000_000)",
        "import numpy\nnumpy.ones(10 * 1024 ** 3 // 8)",
        "x = bytearray()\nwhile True: x.extend(bytes(1_000_000))",
        "'x' * 10 ** 11",
    ],
)
def test_a_large_list_is_out_of_memory(sandbox: Sandbox, text: str) -> None:
    assert isinstance(outcome(sandbox, text), OutOfMemory)


def test_memory_that_is_shared_is_limited_too(sandbox: Sandbox) -> None:
    found = outcome(sandbox, "import mmap\nm = mmap.mmap(-1, 10 * 1024 ** 3)")

    assert isinstance(found, JobDied)
    assert "Cannot allocate memory" in str(found)


def test_memory_is_limited_also_where_the_errors_are_swallowed(sandbox: Sandbox) -> None:
    limit = 64 * MIB
    peaks: list[int] = []
    text = (
        "import os\ntask.report(0, None, str(os.getpid()))\n"
        "x = []\nwhile True:\n    try: x.append(bytearray(100_000))\n    except MemoryError: pass"
    )

    def watch(_done: float, _total: float | None, pid: str) -> None:
        threading.Thread(target=lambda: peaks.append(largest(int(pid)))).start()

    with pytest.raises((OutOfTime, OutOfMemory)):
        sandbox.run(source(text, limits=Limits(wall_s=2, memory_bytes=limit)), progress=watch)

    assert 0 < peaks[0] < limit + 32 * MIB


def largest(pid: int) -> int:
    """The most that a process took since now, until it ends."""
    most, first = 0, 0
    ended = os.pidfd_open(pid)
    try:
        while not select.select([ended], [], [], 0.005)[0]:
            resident = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
            first = first or resident
            most = max(most, resident - first)
    except (FileNotFoundError, ProcessLookupError):
        pass
    finally:
        os.close(ended)
    return most


def test_pages_shared_with_other_jobs_count_once_they_are_changed(sandbox: Sandbox) -> None:
    """A forked process may write to all that its parent has: each page is then copied, which no rlimit counts."""
    entry = f"{ENTRIES}:touches"
    with pytest.raises(OutOfMemory):
        sandbox.run(Job(entry, {}, limits=Limits(wall_s=10, memory_bytes=16 * MIB)))
    assert sandbox.run(Job(entry, {}, limits=Limits(memory_bytes=256 * MIB))).values == {}


# Files


@pytest.fixture
def secrets(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Files of this user, whom an ordinary user's jobs share the account with."""
    database = Database(tmp_path / "data", user="demo-pro")
    note = tmp_path / "note"
    note.write_text("secret", encoding="ascii")
    for each in (tmp_path, *tmp_path.parents):
        if each.owner() != "root" or each.stat().st_uid == os.getuid():
            with_others(each)
    yield {"note": str(note), "database": str(tmp_path / "data" / FILE_NAME), "folder": str(tmp_path)}
    database.close()


def with_others(folder: Path) -> None:
    """Let every user pass, so that nothing but the sandbox stands in the way."""
    if folder.stat().st_uid == os.getuid() and str(folder).startswith("/tmp/"):  # noqa: S108 - pytest's folders
        folder.chmod(0o755)


@pytest.mark.parametrize(
    "text",
    [
        "open('/etc/passwd').read()",
        "open('/etc/hostname').read()",
        "open(task.arguments['note']).read()",
        "open(task.arguments['note'], 'w')",
        "open(task.arguments['note'], 'a')",
        "open(task.arguments['database'], 'rb').read()",
        "import os\nos.listdir(task.arguments['folder'])",
        "import os\nos.listdir('/')",
        "import os\nos.listdir('..')",
        "open('/proc/self/environ', 'rb').read()",
        "open(f\"/proc/{task.arguments['server']}/environ\", 'rb').read()",
        "open(f\"/proc/{task.arguments['server']}/mem\", 'rb').read()",
        "import os\nos.listdir(f\"/proc/{task.arguments['server']}/fd\")",
        "import os\nopen(f'/proc/{os.getppid()}/cmdline').read()",
        "import os\nos.unlink(task.arguments['note'])",
        "import os\nos.rename(task.arguments['note'], 'mine')",
        "import os\nos.truncate(task.arguments['note'], 0)",
        "import os\nos.chmod(task.arguments['note'], 0)",
        "import os\nos.utime(task.arguments['note'], (0, 0))",
        "import os\nos.setxattr(task.arguments['note'], 'user.x', b'1')",
        "import os\nos.chown(task.arguments['note'], os.getuid(), os.getgid())",
        "import os\nos.mkdir(task.arguments['folder'] + '/made')",
        "open(task.arguments['folder'] + '/made', 'w')",
        "import os\nos.symlink('/etc/passwd', 'link')\nopen('link').read()",
        "import os\nos.symlink(task.arguments['note'], task.arguments['folder'] + '/link')",
        "import os\nos.mkfifo('fifo')",
        "import os\nos.unlink(os.__file__)",
        "import os\nopen(os.__file__, 'a')",
        "import os, mcp_server\nopen(os.path.dirname(mcp_server.__file__) + '/../conftest.py').read()",
        "import os\nos.open('.', os.O_TMPFILE | os.O_RDWR)\nraise PermissionError",
    ],
)
def test_files_of_others_can_not_be_read_or_changed(sandbox: Sandbox, secrets: dict[str, str], text: str) -> None:
    before = Path(secrets["note"]).stat()

    found = outcome(sandbox, text, server=os.getpid(), **secrets)

    assert isinstance(found, Forbidden) or "O_TMPFILE" in text, found
    assert isinstance(found, SandboxFailed)
    after = Path(secrets["note"]).stat()
    assert (after.st_mode, after.st_size, after.st_mtime_ns) == (before.st_mode, before.st_size, before.st_mtime_ns)
    assert sorted(each.name for each in Path(secrets["folder"]).iterdir()) == ["data", "note"]


def test_a_hard_link_to_anothers_file_can_not_be_made(sandbox: Sandbox, secrets: dict[str, str]) -> None:
    found = outcome(sandbox, "import os\nos.link(task.arguments['note'], 'mine')", **secrets)

    # Landlock says EXDEV for a link across its borders.
    assert isinstance(found, Forbidden | JobDied)
    assert Path(secrets["note"]).stat().st_nlink == 1


@pytest.mark.parametrize(
    "text",
    [
        "f = open('one', 'wb')\nwhile True: f.write(bytes(1_000_000))",
        "n = 0\nwhile True:\n    n += 1\n    open(str(n), 'wb').write(bytes(1_000_000))",
        "n = 0\nwhile True:\n    n += 1\n    open(str(n), 'wb')",
        "import os\nn = 0\nwhile True:\n    n += 1\n    os.truncate(os.open(str(n), os.O_CREAT | os.O_RDWR), 4_000_000)",
    ],
)
def test_ten_gigabytes_are_not_written(sandbox: Sandbox, text: str) -> None:
    text = f"try:\n    {text.replace(chr(10), chr(10) + '    ')}\nexcept OSError: pass\nwhile True: pass"
    most = 0
    done = threading.Event()

    def measure() -> None:
        nonlocal most
        while not done.wait(0.01):
            most = max(most, written(sandbox._scratch.folder))

    thread = threading.Thread(target=measure)
    thread.start()
    found = outcome(sandbox, text, limits=Limits(wall_s=2, disk_bytes=8 * MIB))
    done.set()
    thread.join()

    assert isinstance(found, OutputTooLarge | OutOfTime)
    assert most < 128 * MIB


def written(folder: Path) -> int:
    total = 0
    for each in folder.glob("job-*/*"):
        try:
            total += each.stat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total


def test_many_files_end_in_a_name(sandbox: Sandbox) -> None:
    found = outcome(sandbox, "n = 0\nwhile True:\n    n += 1\n    open(str(n), 'wb').write(bytes(1_000_000))")

    assert isinstance(found, OutputTooLarge)
    assert "folder" in str(found)


def test_one_large_file_ends_in_a_name(sandbox: Sandbox) -> None:
    found = outcome(sandbox, "f = open('one', 'wb')\nwhile True: f.write(bytes(1_000_000))")

    assert isinstance(found, OutputTooLarge)


# The network


SOCKETS = [
    "socket.socket(socket.AF_INET).connect(('127.0.0.1', task.arguments['port']))",
    "socket.create_connection(('127.0.0.1', task.arguments['port']))",
    "socket.socket(socket.AF_INET6)",
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "socket.socket(socket.AF_UNIX).connect(task.arguments['path'])",
    "socket.socket(socket.AF_UNIX).connect(chr(0) + task.arguments['abstract'])",
    "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "socket.socketpair()",
    "import urllib.request\nurllib.request.urlopen(f\"http://127.0.0.1:{task.arguments['port']}\")",
    "import asyncio\nasyncio.run(asyncio.sleep(0))",
]


@pytest.mark.parametrize("text", SOCKETS)
def test_no_socket_is_opened(sandbox: Sandbox, tmp_path: Path, text: str) -> None:
    listeners = [socket.create_server(("127.0.0.1", 0))]
    path, abstract = str(tmp_path / "socket"), f"dexorder-test-{os.getpid()}"
    for address in (path, f"\0{abstract}"):
        listeners.append(socket.socket(socket.AF_UNIX))
        listeners[-1].bind(address)
        listeners[-1].listen()
    port = listeners[0].getsockname()[1]

    found = outcome(sandbox, f"import socket\n{text}", port=port, path=path, abstract=abstract)

    assert isinstance(found, Forbidden | JobDied)
    assert "Operation not permitted" in str(found)
    assert select.select(listeners, [], [], 0)[0] == []
    for each in listeners:
        each.close()


# The runner


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("import os\nos._exit(0)", JobDied),
        ("import os\nos._exit(77)", JobDied),
        ("import os\nos.abort()", JobDied),
        ("import os\nos.kill(os.getpid(), 9)", JobDied),
        ("import ctypes\nctypes.string_at(0)", JobDied),
        ("import sys\nsys.setrecursionlimit(10 ** 9)\nf = lambda: f()\nf()", SandboxFailed),
        ("f = lambda: f()\nf()", JobDied),
        ("eval('(' * 10_000)", SandboxFailed),
        ("import os\nos.closerange(0, 100)\nwhile True: pass", JobDied),
        ("import os\nfor n in range(100):\n    try: os.write(n, b'x' * 1000)\n    except OSError: pass", JobDied),
        ("import os\nfor n in range(100):\n    try: os.write(n, bytes([2]) + b'\\xff' * 12)\n    except OSError: pass", OutputTooLarge),
        ("import json\njson.dumps = lambda *a, **k: '{' * 100", JobDied),
        ("import os\nos.write = lambda *a: 1 / 0", JobDied),
        ("import os\nos._exit = lambda *a: None", Answer),
        ("import builtins\nbuiltins.memoryview = builtins.len = builtins.sum = None", JobDied),
        ("import sys\nfor name in list(sys.modules): del sys.modules[name]", SandboxFailed),
        ("import sys\nsys.modules['mcp_server.sandbox.wire'].encode = lambda *a, **k: [memoryview(b'junk' * 99)]", JobDied),
        ("import sys\nsys.modules['mcp_server.sandbox.wire'].size = lambda *a: 0\nblobs['b'] = bytes(50_000_000)", OutputTooLarge),
        ("import gc\nfor each in gc.get_objects():\n    if isinstance(each, dict) and each is not globals(): each.clear()", SandboxFailed),
        ("import sys\nsys.settrace(lambda *a: 1 / 0)", SandboxFailed),
        ("import atexit\natexit.register(lambda: 1 / 0)", Answer),
    ],
)  # fmt: skip
def test_a_strategy_that_meddles_with_the_runner_harms_itself_only(sandbox: Sandbox, text: str, error: type) -> None:
    found = outcome(sandbox, text, limits=Limits(wall_s=5, memory_bytes=256 * MIB, output_bytes=MIB))

    assert isinstance(found, error | OutOfTime) or (error is SandboxFailed and isinstance(found, Answer)), found


def test_a_result_of_fifty_megabytes_is_too_large(sandbox: Sandbox) -> None:
    roomy = Limits(memory_bytes=400 * MIB, output_bytes=8 * MIB)
    for text in (
        "values['x'] = 'y' * 50_000_000",
        "blobs['x'] = bytes(50_000_000)",
        "import numpy\narrays['x'] = numpy.zeros(50_000_000 // 8)",
        "values.update((str(n), 'x' * 1000) for n in range(3_000))",
    ):
        assert isinstance(outcome(sandbox, text, limits=roomy), OutputTooLarge)


def test_nothing_that_is_answered_is_run(sandbox: Sandbox, tmp_path: Path) -> None:
    """Pickles would run what `__reduce__` names; answers are JSON and raw numbers."""
    trick = "class Trick:\n    def __reduce__(self):\n        import os\n        return os.system, ('touch ' + task.arguments['to'],)\n"
    for text in (
        "values['x'] = Trick()",
        "import numpy\narrays['x'] = numpy.array([Trick()], dtype=object)",
        "import pickle\nblobs['x'] = pickle.dumps(Trick())",
        "class Sly(dict):\n    __reduce__ = Trick.__reduce__\nvalues = Sly(a=1)",
    ):
        found = outcome(sandbox, trick + text, to=str(tmp_path / "touched"))
        assert isinstance(found, JobDied | Answer)
    assert not (tmp_path / "touched").exists()


def test_values_that_are_no_json_are_named(sandbox: Sandbox) -> None:
    for text in (
        "values['x'] = float('nan')",
        "values['x'] = values",
        "x = []\nfor n in range(100_000): x = [x]\nvalues['x'] = x",
        "values = None",
        "arrays['x'] = 5",
        "blobs['x'] = 'text'",
    ):
        assert isinstance(outcome(sandbox, text), JobDied)


def test_half_a_surrogate_pair_is_no_text(sandbox: Sandbox) -> None:
    assert isinstance(outcome(sandbox, "values['x'] = chr(0xD800)"), JobDied)
    assert isinstance(outcome(sandbox, "raise ValueError(chr(0xD800))"), JobDied)


def test_an_answer_that_is_forged_is_only_this_jobs(sandbox: Sandbox) -> None:
    """It can say what it likes about itself: it could as well have computed that."""
    forged = (
        "import os, sys\nwire = sys.modules['mcp_server.sandbox.wire']\n"
        "frame = b''.join(wire.encode(wire.ANSWER, {'values': {'forged': 1}, 'parts': []}))\n"
        "for n in range(3, 64):\n    try: os.write(n, frame)\n    except OSError: pass\nos._exit(0)"
    )

    found = outcome(sandbox, forged)

    assert isinstance(found, Answer)
    assert found.values == {"forged": 1}


def test_a_job_holds_no_descriptor_but_its_own(sandbox: Sandbox) -> None:
    text = (
        "import os, stat\nfor n in range(1024):\n    try: mode = os.fstat(n).st_mode\n    except OSError: continue\n"
        "    kind = next(k for k in ('FIFO', 'DIR', 'CHR', 'REG', 'SOCK') if getattr(stat, 'S_IS' + k)(mode))\n"
        "    values.setdefault(kind, []).append(n)"
    )

    found = outcome(sandbox, text)

    assert isinstance(found, Answer)
    # The request has been read and its pipe closed.
    assert found.values["CHR"] == [0, 1, 2]
    assert len(found.values["FIFO"]) == 1
    assert found.values.keys() <= {"CHR", "FIFO", "DIR"}


def test_jobs_do_not_see_each_other(sandbox: Sandbox) -> None:
    first = outcome(sandbox, "import math, numpy\nmath.pi = 3\nnumpy.float64 = None\nopen('left', 'w').write('x')")
    second = outcome(
        sandbox, "import math, numpy, os\nvalues.update(pi=math.pi, files=os.listdir(), kept=bool(numpy.float64))"
    )

    assert isinstance(first, Answer)
    assert isinstance(second, Answer)
    assert second.values == {"pi": np.pi, "files": [], "kept": True}
