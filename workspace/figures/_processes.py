"""What a process uses, from /proc (Linux)."""

from __future__ import annotations

from pathlib import Path


def resident_mb(pid: int, *, peak: bool = False) -> float:
    """Resident memory of one process in MB, now or at its peak."""
    field = "VmHWM:" if peak else "VmRSS:"
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def cpu_s(pid: int) -> float:
    """Seconds that the process has run on a processor, all its threads together."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text(encoding="utf-8").split()[0]) for thread in threads) / 1e9
