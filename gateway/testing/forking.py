"""Processes that are forked where others are executed, with what the tests use of subprocess.Popen."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

END_S = 10.0


class Forked:
    """A process that the zygote forked; like a Popen, it is one thread's."""

    def __init__(self, status: socket.socket) -> None:
        self._status = status
        self.returncode: int | None = None
        self.pid = int(status.recv(32))

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._read(0)

    def wait(self, timeout: float) -> int:
        """The exit code, once it has ended; raises subprocess.TimeoutExpired."""
        code = self._read(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as a power cut does."""
        self.send_signal(signal.SIGKILL)

    def _read(self, timeout: float) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], timeout)[0]:
            self.returncode = int(self._status.recv(32))
            # Its id may be another's from now on.
            self._status.close()
        return self.returncode


class Zygote:
    """The process that forks."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    def start(self, *arguments: str, folder: Path, environment: dict[str, str], output: BinaryIO) -> Forked:
        """Run a script that stands in `folder`, or `-m` and a module, with Python, there and in a session of its own."""
        request = {"arguments": arguments, "environment": environment, "folder": str(folder)}
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            socket.send_fds(self._control, [json.dumps(request).encode()], [output.fileno(), its.fileno()])
        return Forked(ours)


@contextmanager
def zygote(*modules: str, folder: Path) -> Iterator[Zygote]:
    """A zygote that has imported these in `folder`.

    Its children end at the latest with the block, or with the tests when these are killed.
    """
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    system = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    script = str(Path(__file__).with_name("zygote.py"))
    with its:
        popen = subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", sys.executable, script, str(its.fileno()), *modules],  # noqa: S607 - of util-linux
            cwd=folder,
            env=system,
            pass_fds=[its.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        with ours:
            yield Zygote(ours)
        assert popen.wait(END_S) == 0
    finally:
        popen.kill()
        popen.wait()
