"""The server's end of the zygote: starts it when it is needed, and again when it has gone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mcp_server.sandbox import control
from mcp_server.sandbox.ends import NotBegun
from mcp_server.sandbox.reach import PACKAGE
from mcp_server.sandbox.scratch import Scratch

# One that was told to leave has only to kill its children.
LEAVING_S = 5.0

BEGIN = "import sys; sys.path.append(sys.argv[1]); from mcp_server.sandbox import zygote; zygote.main(*sys.argv[2:])"

# What OpenBLAS is told of a processor that it mistakes; all else of the server's environment stays with the server.
PASSED_ON = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things may take that usually don't."""

    # A zygote with every library has 240 MB, which the pod has better uses for when nobody computes.
    idle_s: float = 300.0
    # To import every library took 6 s on a machine whose two cores were busy; one that is silent for so long hangs.
    silent_s: float = 60.0


class ZygoteLink:
    """Hands requests to the zygote. Several threads may use it."""

    def __init__(self, scratch: Scratch, *, unconfined: bool, patience: Patience) -> None:
        self._scratch = scratch
        self._unconfined = unconfined
        self._patience = patience
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        # When the requests were made that the zygote has not dealt with, as far as it was heard.
        self._open: deque[float] = deque()

    def ask(self, request: dict[str, Any], descriptors: list[int]) -> None:
        """Send a request with the descriptors of the job's two pipes and its status socket.

        Raises NotBegun when the zygote can't be started or has just gone.
        """
        with self._lock:
            try:
                socket.send_fds(self._zygote(), [json.dumps(request).encode()], descriptors)
                self._open.append(time.monotonic())
            except OSError as error:
                self._end()
                raise NotBegun from error

    def close(self) -> None:
        """End the zygote and with it every job."""
        with self._lock:
            self._end()

    def _zygote(self) -> socket.socket:
        if self._hangs() or self._control is None or self._process is None or self._process.poll() is not None:
            self._end()
            self._control = self._start()
        return self._control

    def _hangs(self) -> bool:
        """Whether a request has been open for too long. Nobody else listens to what the zygote says of one given up."""
        with suppress(BlockingIOError, ConnectionError):
            while self._open and self._control is not None and self._control.recv(1, socket.MSG_DONTWAIT):
                self._open.popleft()
        return bool(self._open) and time.monotonic() - self._open[0] > self._patience.silent_s

    def _start(self) -> socket.socket:
        self._open.clear()
        scratch = str(self._scratch.folder)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            options = {"unconfined": self._unconfined, "idle_s": self._patience.idle_s}
            arguments = [str(PACKAGE.parent), str(theirs.fileno()), scratch, json.dumps(options)]
            # No PR_SET_PDEATHSIG: that signal goes when the thread that started it ends, and this is a worker's. The zygote
            # leaves when the other end of its socket closes, which the kernel does however the server ends.
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter and our own module
                [sys.executable, "-I", "-X", "utf8", "-c", BEGIN, *arguments],
                cwd="/",
                env=_environment(scratch),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        return ours

    def _end(self) -> None:
        if self._control is not None:
            with suppress(OSError):
                self._control.send(control.LEAVE, socket.MSG_DONTWAIT)
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(LEAVING_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


def _environment(scratch: str) -> dict[str, str]:
    """One thread for OpenBLAS, a place for matplotlib's list of fonts, and no pool of threads for Arrow."""
    fixed = {
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": scratch,
    }
    return fixed | {name: os.environ[name] for name in PASSED_ON if name in os.environ}
