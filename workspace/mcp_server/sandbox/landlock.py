"""Which files a job may reach, as Landlock rules (Documentation/userspace-api/landlock.rst)."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable

from mcp_server.sandbox import kernel

WRITE_FILE = 1 << 1
READ_FILE = 1 << 2
READ_DIR = 1 << 3
MAKE_REG = 1 << 8
REFER = 1 << 13
TRUNCATE = 1 << 14
IOCTL_DEV = 1 << 15

# EXECUTE to MAKE_SYM: what version 1 can deny.
FIRST_RIGHTS = (1 << 13) - 1
# The version that first knows each later right.
LATER_RIGHTS = {2: REFER, 3: TRUNCATE, 5: IOCTL_DEV}

BIND_TCP = 1 << 0
CONNECT_TCP = 1 << 1
NET_VERSION = 4

ABSTRACT_UNIX_SOCKET = 1 << 0
SIGNAL = 1 << 1
SCOPE_VERSION = 6

# Loading a shared library maps it and needs no right to execute, which only execve asks for.
READ = READ_FILE | READ_DIR
# No folders, links, sockets or devices, and nothing is removed: every byte that a job wrote stays where it can be counted.
SCRATCH = READ | WRITE_FILE | MAKE_REG | TRUNCATE
# The rights that mean something for a file that is no folder.
OF_FILES = WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV


def file_rights(version: int) -> int:
    """Every right over files that this version can deny."""
    return FIRST_RIGHTS | sum(right for since, right in LATER_RIGHTS.items() if version >= since)


def ruleset_attributes(version: int) -> bytes:
    """A struct landlock_ruleset_attr that denies all that this version can, as long as this version knows it."""
    fields = [file_rights(version)]
    if version >= NET_VERSION:
        fields.append(BIND_TCP | CONNECT_TCP)
    if version >= SCOPE_VERSION:
        fields.append(ABSTRACT_UNIX_SOCKET | SIGNAL)
    return struct.pack(f"={len(fields)}Q", *fields)


def path_rule(rights: int, descriptor: int) -> bytes:
    """A struct landlock_path_beneath_attr, which is packed."""
    return struct.pack("=Qi", rights, descriptor)


def restrict(*, readable: Iterable[str], scratch: str) -> None:
    """Let this process read below `readable`, write below `scratch`, use /dev/null, and reach no other file or TCP port.

    Paths that don't exist are left out. Raises OSError where the kernel has no Landlock.
    """
    version = kernel.landlock_version()
    ruleset = kernel.landlock_ruleset(ruleset_attributes(version))
    try:
        known = file_rights(version)
        for path in readable:
            _allow(ruleset, path, READ & known)
        _allow(ruleset, os.devnull, (READ | WRITE_FILE) & known)
        _allow(ruleset, scratch, SCRATCH & known)
        kernel.landlock_restrict(ruleset)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        kernel.landlock_allow(ruleset, path_rule(rights if os.path.isdir(path) else rights & OF_FILES, descriptor))
    finally:
        os.close(descriptor)
