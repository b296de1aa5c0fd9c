"""What PostgreSQL's postmaster.pid tells about the server that runs on a folder."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Postmaster:
    """A running server; `state` is "starting", "ready" or "stopping", `port` is 0 until it is known."""

    pid: int
    port: int
    state: str


def running_postmaster(data: Path) -> Postmaster | None:
    """Return the server that runs on the folder `data`, None when there is none."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    if not lines or not _serves(int(lines[0]), data):
        return None
    # Lines: pid, folder, start time, port, socket folder, address, shared memory, state. They are written one by one.
    port = int(lines[3]) if len(lines) > 3 else 0
    state = lines[7].strip() if len(lines) > 7 else "starting"
    return Postmaster(pid=int(lines[0]), port=port, state=state)


def forget_dead_postmaster(data: Path) -> None:
    """Remove the postmaster.pid of a server that is gone.

    PostgreSQL itself refuses to start when the pid in it now belongs to any other process of the same user, as happens
    after the machine or the container was started again.
    """
    if running_postmaster(data) is None:
        (data / "postmaster.pid").unlink(missing_ok=True)


def _serves(pid: int, data: Path) -> bool:
    """Tell our server from a process that got the pid of a dead one.

    Everyone may read /proc/PID/cmdline; /proc/PID/cwd would need CAP_SYS_PTRACE, which root lacks in a container.
    """
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return os.fsencode(data) in words
