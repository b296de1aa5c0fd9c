"""The few system calls that confine a process and that Python has no function for. Linux only; each raises OSError."""

from __future__ import annotations

import ctypes
import os

# include/uapi/linux/prctl.h
PR_SET_PDEATHSIG = 1
PR_GET_DUMPABLE = 3
PR_SET_NAME = 15
PR_GET_NAME = 16
PR_GET_SECCOMP = 21
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_GET_NO_NEW_PRIVS = 39
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
# glibc names its own mappings with it.
PR_SET_VMA = 0x53564D41

SECCOMP_MODE_FILTER = 2

# The same on every architecture.
NR_LANDLOCK_CREATE_RULESET = 444
NR_LANDLOCK_ADD_RULE = 445
NR_LANDLOCK_RESTRICT_SELF = 446
LANDLOCK_CREATE_RULESET_VERSION = 1
LANDLOCK_RULE_PATH_BENEATH = 1

_LINUX_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


class _SockFprog(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def prctl(option: int, argument: int = 0, pointer: object = None) -> int:
    """prctl(2); `pointer` is the third argument."""
    return _checked(_libc.prctl(option, ctypes.c_ulong(argument), pointer, ctypes.c_ulong(0), ctypes.c_ulong(0)))


def install_filter(program: bytes) -> None:
    """Put a seccomp filter, an array of struct sock_filter, over this thread. Needs no_new_privs."""
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(_SockFprog(len(program) // 8, program)))


def drop_bounding_set() -> None:
    """Give up for good what capabilities could be gained, as far as this process may (CAP_SETPCAP)."""
    capability = 0
    while _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:
        capability += 1


def drop_capabilities() -> None:
    """Give up every capability."""
    _libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_LINUX_CAPABILITY_VERSION_3, 0)
    _checked(_libc.capset(ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)())))


def landlock_version() -> int:
    """The version of Landlock's interface. Raises OSError when the kernel has none."""
    return _syscall(NR_LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_CREATE_RULESET_VERSION)


def landlock_ruleset(attributes: bytes) -> int:
    """A new ruleset (struct landlock_ruleset_attr), as a file descriptor."""
    return _syscall(NR_LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)


def landlock_allow(ruleset: int, rule: bytes) -> None:
    """Add a struct landlock_path_beneath_attr."""
    _syscall(NR_LANDLOCK_ADD_RULE, ruleset, LANDLOCK_RULE_PATH_BENEATH, rule, 0)


def landlock_restrict(ruleset: int) -> None:
    """Hold this thread to the ruleset from now on. Needs no_new_privs."""
    _syscall(NR_LANDLOCK_RESTRICT_SELF, ruleset, 0)


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    wide = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *wide))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
