"""Ends a process with SIGKILL just before its N-th change of a file: ptrace and a seccomp filter, standard library only.

Sources: ptrace(2), seccomp(2); numbers from asm/unistd_64.h of x86-64 and asm-generic/unistd.h of AArch64.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
import subprocess
import sys
from collections.abc import Sequence

# pwrite64, fsync, fdatasync, ftruncate, rename, link, unlink and their *at forms: what changes files, but not `write`,
# by which a process only talks here.
CHANGES = {
    "x86_64": (18, 74, 75, 77, 82, 86, 87, 263, 264, 265, 316),
    "aarch64": (68, 82, 83, 46, 35, 37, 38, 276),
}

TRACEME, CONT, SETOPTIONS = 0, 7, 0x4200
TRACE_SECCOMP, EXIT_KILL = 1 << 7, 1 << 20
EVENT_SECCOMP = 7
SET_SECCOMP, SET_NO_NEW_PRIVS, MODE_FILTER = 22, 38, 2
RET_TRACE, RET_ALLOW = 0x7FF00000, 0x7FFF0000
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_void_p] * 4)


def available() -> bool:
    """Whether this machine can do it at all."""
    return sys.platform == "linux" and platform.machine() in CHANGES


def stop_at_changes() -> None:
    """In the process to be ended: from here on its parent sees each change before it happens."""
    _done(libc.ptrace(TRACEME, 0, None, None))
    os.kill(os.getpid(), signal.SIGSTOP)
    numbers = CHANGES[platform.machine()]
    program = [(LOAD, 0, 0, 0)]
    program += [(EQUAL, len(numbers) - index, 0, number) for index, number in enumerate(numbers)]
    program += [(RETURN, 0, 0, RET_ALLOW), (RETURN, 0, 0, RET_TRACE)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in program))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
    _done(libc.prctl(SET_NO_NEW_PRIVS, 1, None, None, None))
    _done(libc.prctl(SET_SECCOMP, MODE_FILTER, ctypes.addressof(head), None, None))


def run_and_kill(command: Sequence[str], *, before: int | None, cwd: str) -> tuple[list[str], int]:
    """Run to the end, or kill it before change number `before` (from 1).

    Gives the lines that it wrote and how many changes it came to. Raises AssertionError when it failed by itself.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=cwd)
    assert process.stdout is not None
    try:
        changes = _follow(process.pid, before)
        return process.stdout.read().splitlines(), changes
    finally:
        process.returncode = 0
        process.stdout.close()


def _follow(pid: int, before: int | None) -> int:
    _, status = os.waitpid(pid, 0)
    assert os.WIFSTOPPED(status), f"it ended before it could be followed: {status}"
    _done(libc.ptrace(SETOPTIONS, pid, None, TRACE_SECCOMP | EXIT_KILL))
    changes = 0
    passed_on = 0
    while True:
        _done(libc.ptrace(CONT, pid, None, passed_on))
        _, status = os.waitpid(pid, 0)
        if not os.WIFSTOPPED(status):
            assert status == 0, f"it failed by itself: {status}"
            return changes
        passed_on = 0
        if status >> 16 == EVENT_SECCOMP:
            changes += 1
            if changes == before:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return changes
        else:
            passed_on = os.WSTOPSIG(status)


def _done(result: int) -> None:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
