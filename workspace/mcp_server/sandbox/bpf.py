"""Classic BPF as seccomp runs it: instructions built as data, assembled to bytes. No system calls here."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

# include/uapi/linux/bpf_common.h
LD_W_ABS = 0x20
JEQ_K = 0x15
JGE_K = 0x35
JSET_K = 0x45
AND_K = 0x54
RET_K = 0x06

# include/uapi/linux/seccomp.h
RET_KILL_PROCESS = 0x80000000
RET_ERRNO = 0x00050000
RET_ALLOW = 0x7FFF0000

# struct seccomp_data: the call's number, the architecture, the caller's address, six 64-bit arguments.
AT_NUMBER = 0
AT_ARCHITECTURE = 4
AT_ARGUMENTS = 16


class Instruction(NamedTuple):
    """One struct sock_filter; jumps count the instructions to skip."""

    code: int
    jump_true: int
    jump_false: int
    operand: int


def load(offset: int) -> Instruction:
    """Take the 32 bits at `offset` of the call's data."""
    return Instruction(LD_W_ABS, 0, 0, offset)


def load_argument(index: int) -> Instruction:
    """Take the low half of an argument: all that the kernel reads of an int. Little-endian machines only."""
    return load(AT_ARGUMENTS + 8 * index)


def mask(bits: int) -> Instruction:
    """Keep these bits of what was taken."""
    return Instruction(AND_K, 0, 0, bits)


def answer(action: int) -> Instruction:
    """End here with this action."""
    return Instruction(RET_K, 0, 0, action)


def refuse(errno: int) -> Instruction:
    """End here: the call fails with this error."""
    return answer(RET_ERRNO | errno)


def when(code: int, operand: int, block: list[Instruction]) -> list[Instruction]:
    """Run `block` where the comparison holds, else jump over it."""
    return [Instruction(code, 0, len(block), operand), *block]


def assemble(program: Iterable[Instruction]) -> bytes:
    """The program as the kernel takes it."""
    return b"".join(struct.pack("=HBBI", *each) for each in program)
