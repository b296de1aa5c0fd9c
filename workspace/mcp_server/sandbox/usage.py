"""How much memory a job has of its own."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = 4096
PRIVATE = re.compile(rb"^Private_(?:Clean|Dirty|Hugetlb): +(\d+) kB$", re.MULTILINE)


class Memory:
    """Watches one process, which shares with its parent what it has not written to since it was forked."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")
        self._resident_at_start, _ = self._figures()

    def own_bytes(self, *, enough: int) -> int:
        """Bytes that this process alone has: exact above `enough`, at or below it an upper bound.

        What it took since the start, and each page it touched (a page that it shared is copied then), is cheap to ask for;
        the exact sum costs the kernel some milliseconds. Where that is not to be had (root without CAP_SYS_PTRACE, over
        another user's process) what it took since the start stands for it. 0 when the process has ended.
        """
        try:
            resident, faults = self._figures()
            taken = max(0, resident - self._resident_at_start)
            if taken + faults * PAGE <= enough:
                return taken + faults * PAGE
            try:
                exact = (self._folder / "smaps_rollup").read_bytes()
            except PermissionError:
                return taken
            return sum(int(kib) * 1024 for kib in PRIVATE.findall(exact))
        except (FileNotFoundError, ProcessLookupError):
            return 0

    def _figures(self) -> tuple[int, int]:
        """Resident bytes, and page faults (proc_pid_stat(5): fields 24 and 10)."""
        try:
            # The name, the second field, may hold spaces and brackets.
            fields = (self._folder / "stat").read_bytes().rpartition(b") ")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return 0, 0
        return int(fields[21]) * PAGE, int(fields[7])
