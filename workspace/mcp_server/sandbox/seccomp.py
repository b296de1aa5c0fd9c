"""Which system calls a job may make, as a seccomp program: what computing and its own files need, and nothing else.

A list of what is allowed, so that a call that a newer kernel adds is refused. Refused calls fail with EPERM, which Python
raises as PermissionError; calls of another architecture's table kill.
"""

from __future__ import annotations

import errno
import functools
import os
import struct

from mcp_server.sandbox import bpf, kernel
from mcp_server.sandbox.bpf import Instruction
from mcp_server.sandbox.system_calls import ARCHITECTURES, FIRST_UNKNOWN

# x32 calls have this bit in their number and x86_64's architecture.
X32 = 0x40000000

# The C library falls back where these "don't exist": to clone, which is refused, and to openat, whose flags can be seen.
MISSING = ("clone3", "openat2")

# No F_SETOWN, F_SETSIG, F_SETLEASE and F_NOTIFY, which send signals to others; no F_SETPIPE_SZ, which takes kernel memory.
# F_DUPFD to F_SETLKW, F_OFD_GETLK to F_OFD_SETLKW, F_DUPFD_CLOEXEC, F_GETPIPE_SZ.
FCNTL_COMMANDS = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032)

# TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: the same on both architectures (asm-generic/ioctls.h).
IOCTL_COMMANDS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)

# Stands for the process's own pid in the program that is built once. No pid is as large, no other operand is the same.
UNKNOWN_PID = 0x7FFFFF5D

PRCTL_OPTIONS = (
    kernel.PR_GET_DUMPABLE,
    kernel.PR_SET_NAME,
    kernel.PR_GET_NAME,
    kernel.PR_GET_SECCOMP,
    kernel.PR_GET_NO_NEW_PRIVS,
    kernel.PR_SET_VMA,
)

# __O_TMPFILE: a file without a name is not seen by whoever adds up the job's folder.
NAMELESS = 0o20000000
TRUNCATING = os.O_TRUNC | os.O_ACCMODE


def program_for(machine: str, *, own_pid: int) -> bytes:
    """The filter of the process `own_pid`. Raises KeyError for a machine whose numbers are unknown."""
    return _program(machine).replace(struct.pack("=I", UNKNOWN_PID), struct.pack("=I", own_pid))


@functools.cache
def _program(machine: str) -> bytes:
    """The filter without its pid: building it takes longer than all other steps of confining a process."""
    architecture = ARCHITECTURES[machine]
    program = [
        bpf.load(bpf.AT_ARCHITECTURE),
        Instruction(bpf.JEQ_K, 1, 0, architecture.audit),
        bpf.answer(bpf.RET_KILL_PROCESS),
        bpf.load(bpf.AT_NUMBER),
        *bpf.when(bpf.JGE_K, X32, [bpf.answer(bpf.RET_KILL_PROCESS)]),
        *bpf.when(bpf.JGE_K, FIRST_UNKNOWN, [bpf.refuse(errno.ENOSYS)]),
    ]
    for name, number in architecture.numbers.items():
        program += bpf.when(bpf.JEQ_K, number, SPECIAL.get(name, [bpf.answer(bpf.RET_ALLOW)]))
    program.append(bpf.refuse(errno.EPERM))
    return bpf.assemble(program)


def _only(argument: int, values: tuple[int, ...]) -> list[Instruction]:
    """Allow the call where the argument is one of `values`."""
    checks = [each for value in values for each in bpf.when(bpf.JEQ_K, value, [bpf.answer(bpf.RET_ALLOW)])]
    return [bpf.load_argument(argument), *checks, bpf.refuse(errno.EPERM)]


def _opening(*, flags_at: int) -> list[Instruction]:
    """Allow to open, but no nameless file, and no truncation without the right to write.

    Opening with O_RDONLY | O_TRUNC empties a file that Landlock before version 3 only lets be read.
    """
    return [
        bpf.load_argument(flags_at),
        Instruction(bpf.JSET_K, 0, 1, NAMELESS),
        bpf.refuse(errno.EOPNOTSUPP),
        bpf.mask(TRUNCATING),
        *bpf.when(bpf.JEQ_K, os.O_TRUNC, [bpf.refuse(errno.EPERM)]),
        bpf.answer(bpf.RET_ALLOW),
    ]


# What is decided by more than the call's number.
SPECIAL = {
    **{name: [bpf.refuse(errno.ENOSYS)] for name in MISSING},
    "open": _opening(flags_at=1),
    "openat": _opening(flags_at=2),
    "fcntl": _only(1, FCNTL_COMMANDS),
    "ioctl": _only(1, IOCTL_COMMANDS),
    "prctl": _only(0, PRCTL_OPTIONS),
    "kill": _only(0, (UNKNOWN_PID,)),
    "tgkill": _only(0, (UNKNOWN_PID,)),
    # 0 is the caller; another process of the same user could have its limits lowered.
    "prlimit64": _only(0, (0,)),
}
