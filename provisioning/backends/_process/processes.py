"""Processes of this machine, as Linux tells of them in /proc: found again, told from a later bearer of their number, ended.

Everything here reads a few small files and takes microseconds a process.
"""

import asyncio
import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

PROC = Path("/proc")
POLL_S = 0.02
ZOMBIE, DEAD = "Z", "X"


def identity(pid: int) -> str | None:
    """What tells this process from every other that ever had its number; None when it has ended.

    Its start in clock ticks since boot, and the boot (proc(5), field 22 of /proc/PID/stat).
    """
    try:
        # The command's name, in brackets, may hold anything, brackets and spaces too.
        fields = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return f"{_boot()}:{fields[19]}" if fields[0] not in {ZOMBIE, DEAD} else None


def started_with(argument: str) -> dict[int, str]:
    """Pid and identity of each process of this user whose command line has exactly this argument."""
    wanted = os.fsencode(argument)
    found: dict[int, str] = {}
    for pid in (int(name) for name in os.listdir(PROC) if name.isdecimal()):
        known_as = identity(pid)
        if known_as is not None and _is_ours(pid) and wanted in _arguments(pid):
            found[pid] = known_as
    return found


async def end(processes: dict[int, str], *, grace_s: float) -> None:
    """Ask the processes (identity by pid) to end, kill those that have not after `grace_s`, return when all are gone."""
    _signal(processes.items(), signal.SIGTERM)
    await _gone(processes, within_s=grace_s)
    left = [(pid, known_as) for pid, known_as in processes.items() if identity(pid) == known_as]
    _signal(left, signal.SIGKILL)
    await _gone(dict(left), within_s=grace_s)


def _is_ours(pid: int) -> bool:
    try:
        return (PROC / str(pid)).stat().st_uid == os.getuid()
    except OSError:
        return False


def _arguments(pid: int) -> list[bytes]:
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def _signal(processes: Iterable[tuple[int, str]], number: signal.Signals) -> None:
    for pid, known_as in processes:
        if identity(pid) == known_as:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


async def _gone(processes: dict[int, str], *, within_s: float) -> None:
    for _ in range(round(within_s / POLL_S)):
        if not any(identity(pid) == known_as for pid, known_as in processes.items()):
            return
        await asyncio.sleep(POLL_S)


@cache
def _boot() -> str:
    return (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
