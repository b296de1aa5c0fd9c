"""The server as the sidecar's child."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence

# From <linux/prctl.h>: the signal that the kernel sends to a process when its parent dies.
PR_SET_PDEATHSIG = 1


def spawn(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start the server in a process group of its own; on Linux it dies with this process. Raises OSError."""
    hook = _die_with_parent()
    # The hook runs between fork and exec of a process with one thread, where it is safe; the command is our caller's.
    return subprocess.Popen(list(command), process_group=0, preexec_fn=hook)  # noqa: S603, PLW1509 - see above


def end(child: subprocess.Popen[bytes], *, grace_s: float) -> None:
    """Ask the server to stop; after `grace_s` seconds kill it and all that it started."""
    child.terminate()
    try:
        child.wait(timeout=grace_s)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def exit_status(returncode: int) -> int:
    """The status to exit with for a child that ended by itself: its own, or 128 + signal as a shell does."""
    return returncode if returncode >= 0 else 128 - returncode


def _die_with_parent() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def before_exec() -> None:
        # SIGKILL and not SIGTERM: nobody is left to insist, and the server's storage bears it.
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return before_exec
