"""The process that jobs are forked from: trusted, single-threaded, with the libraries already imported.

Started by the server (`link.py`) with an empty environment. It is asked on a socket whose other end only the server holds,
and leaves when it is told to, when that end closes, or when nothing has been asked for a while.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from mcp_server.jobs.contract import without_paths
from mcp_server.sandbox import control, kernel, reach
from mcp_server.sandbox.child import Channel, Entry, run_job
from mcp_server.sandbox.confine import Confinement, why_not

# A request is a few names and numbers.
MESSAGE_BYTES = 64 * 1024

# What jobs import of ours.
OURS = "mcp_server."

# Where a job imports it first, OpenBLAS no longer sees OPENBLAS_NUM_THREADS, can't start its threads and interrupts the job.
ALWAYS = ("numpy",)


@dataclass(frozen=True, slots=True)
class Child:
    """A job that runs, and where its end is told."""

    pid: int
    status: socket.socket


class Zygote:
    """Forks jobs and says how they ended."""

    def __init__(self, server: socket.socket, *, unconfined: bool, idle_s: float) -> None:
        self._server = server
        # Nobody else is there to clear up any more.
        self.orphaned = False
        self._unconfined = unconfined
        self._idle_ms = idle_s * 1000
        self._libraries = reach.libraries()
        self._imported: set[str] = set()
        self._children: dict[int, Child] = {}
        self._poll = select.poll()
        self._poll.register(server, select.POLLIN)

    def serve(self) -> None:
        """Until the server says so or its end closes, or nothing was asked for a while."""
        while ready := self._poll.poll(None if self._children else self._idle_ms):
            for descriptor, _ in ready:
                if descriptor in self._children:
                    self._bury(descriptor)
                elif not self._answer():
                    return

    def end_children(self) -> None:
        """Kill what runs."""
        for child in self._children.values():
            _kill(child.pid)
            os.waitpid(child.pid, 0)

    def _answer(self) -> bool:
        """Take one request; False when there will be no more."""
        try:
            message, descriptors, _, _ = socket.recv_fds(self._server, MESSAGE_BYTES, 3, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            # The server closed its end before it had read all that it was told. Of a SOCK_SEQPACKET this is said first, and
            # once (net/core/datagram.c): what the server said last is still there, or the end.
            return True
        if message in (b"", control.LEAVE):
            self.orphaned = not message
            return False
        request, answer, status = descriptors
        channel = Channel(request=request, answer=answer)
        with socket.socket(fileno=status) as told:
            self._begin(json.loads(message), channel, told)
        for descriptor in channel.descriptors:
            os.close(descriptor)
        with suppress(ConnectionError):
            # A server that has gone is noticed at the next look.
            self._server.send(control.DEALT_WITH)
        return True

    def _begin(self, asked: dict[str, Any], channel: Channel, status: socket.socket) -> None:
        lacking = None if self._unconfined else why_not()
        if lacking:
            _tell(status, {"unavailable": lacking})
            return
        try:
            entry = self._entry(asked)
        except Exception as error:  # noqa: BLE001 - whatever a module raises when it is imported, the job is told
            _tell(status, {"failed": f"{type(error).__name__}: {without_paths(str(error))}"})
            return
        self._fork(entry, asked, channel=channel, status=status)

    def _entry(self, asked: dict[str, Any]) -> Entry:
        module, _, function = asked["entry"].partition(":")
        if not module.startswith(OURS):
            raise ValueError(f"{module} is no module of this package")
        for name in (*ALWAYS, *asked["preload"], module):
            if name not in self._imported:
                importlib.import_module(name)
                self._imported.add(name)
                # What is there now is never garbage; looking for some would copy its pages in every job.
                gc.collect()
                gc.freeze()
        return cast(Entry, getattr(sys.modules[module], function))

    def _fork(self, entry: Entry, asked: dict[str, Any], *, channel: Channel, status: socket.socket) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                self._let_go()
                status.detach()
                terms = Confinement(
                    readable=self._libraries.readable,
                    scratch=asked["scratch"],
                    keep=(*self._libraries.descriptors, *channel.descriptors),
                    unconfined=self._unconfined,
                    **{name: asked[name] for name in ("cpu_s", "memory_bytes", "disk_bytes")},
                )
                run_job(entry, channel=channel, terms=terms, parent=parent, output_bytes=asked["output_bytes"])
            finally:
                os._exit(1)
        self._raise_child(pid, status)

    def _raise_child(self, pid: int, status: socket.socket) -> None:
        descriptor = os.pidfd_open(pid)
        self._children[descriptor] = Child(pid, status.dup())
        self._poll.register(descriptor, select.POLLIN)
        try:
            socket.send_fds(status, [json.dumps({"pid": pid}).encode()], [descriptor])
        except OSError:
            # Nobody waits for it any more.
            _kill(pid)

    def _let_go(self) -> None:
        """Forget the descriptors that the child is about to close, so that no object closes their numbers later."""
        self._server.detach()
        for child in self._children.values():
            child.status.detach()

    def _bury(self, descriptor: int) -> None:
        child = self._children.pop(descriptor)
        self._poll.unregister(descriptor)
        os.close(descriptor)
        # Before it is waited for, so that the number still stands for it.
        _kill(child.pid)
        _, status, usage = os.wait4(child.pid, 0)
        with child.status:
            _tell(child.status, {"status": status, "cpu_s": usage.ru_utime + usage.ru_stime})


def _kill(pid: int) -> None:
    """The process and, where it was left the means to start others, its group."""
    for kill in (os.kill, os.killpg):
        try:
            kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def _tell(status: socket.socket, message: dict[str, Any]) -> None:
    try:
        status.send(json.dumps(message).encode())
    except OSError:
        # The server no longer wants to know.
        return


def main(descriptor: str, scratch: str, options: str) -> None:
    """Serve on the socket with this descriptor. Without the server nobody else removes `scratch`."""
    # Stopped by a signal it would outlive a server that is killed. It is woken when the thread that started it ends, which
    # says nothing, and again when the server has ended: then the closed socket lets it leave.
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGCONT)
    zygote = Zygote(socket.socket(fileno=int(descriptor)), **json.loads(options))
    zygote.serve()
    zygote.end_children()
    if zygote.orphaned:
        # A server that is there still has the folders of jobs in it that another zygote will run.
        shutil.rmtree(scratch, ignore_errors=True)
