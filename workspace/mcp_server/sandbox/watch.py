"""One job as the server sees it: its pipes, its process, its time, its memory and its files."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from mcp_server.errors import JobDied, OutOfMemory, OutOfTime, OutputTooLarge
from mcp_server.jobs.contract import Report
from mcp_server.sandbox import verdict, wire
from mcp_server.sandbox.ends import Ends, NotBegun
from mcp_server.sandbox.jobs import Answer, Limits
from mcp_server.sandbox.scratch import MOST_FILES, used_bytes
from mcp_server.sandbox.usage import Memory

# Between two looks a job can write or touch some 20 MB.
LOOK_EVERY_S = 0.02

# No client shows more.
REPORT_EVERY_S = 0.1

CHUNK_BYTES = 256 * 1024

# The zygote tells the end of a job at once, unless it is importing a library.
TOLD_S = 15.0

# A killed process is gone when the kernel has taken back its memory.
GONE_S = 5.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What one job may take, and whom to tell."""

    limits: Limits
    deadline: float
    scratch: str
    progress: Report | None
    stop: Callable[[], None]


class Watch:
    """Follows a job to its end. Used by one thread."""

    def __init__(self, ends: Ends, terms: Terms, *, request: Iterable[memoryview]) -> None:
        self._ends = ends
        self._terms = terms
        self._unsent = deque(request)
        self._intake = wire.Intake(output_bytes=terms.limits.output_bytes)
        self._process: int | None = None
        self._memory: Memory | None = None
        self._last: wire.Progress | None = None
        self._told = self._looked = 0.0
        self._closed_at: float | None = None
        self._poll = select.poll()
        self._poll.register(ends.request, select.POLLOUT)
        self._poll.register(ends.answer, select.POLLIN)
        self._poll.register(ends.status, select.POLLIN)

    def answer(self) -> Answer:
        """What the job answers. Raises a SandboxFailed, NotBegun, and what `terms.stop` and `terms.progress` raise."""
        while True:
            for descriptor, _ in self._poll.poll(LOOK_EVERY_S * 1000):
                found = self._take(descriptor)
                if found is not None:
                    self._tell(now=True)
                    return found
            self._look()

    def end(self) -> None:
        """Kill the job if it still runs, and wait until it is gone."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, signal.SIGKILL)
            select.select([self._process], [], [], GONE_S)
            os.close(self._process)

    def _take(self, descriptor: int) -> Answer | None:
        if descriptor == self._ends.answer:
            return self._read()
        if descriptor != self._ends.request:
            return self._hear()
        self._write()
        return None

    def _write(self) -> None:
        try:
            while self._unsent:
                written = os.write(self._ends.request, self._unsent[0][:CHUNK_BYTES])
                self._unsent[0] = self._unsent[0][written:]
                if not self._unsent[0]:
                    self._unsent.popleft()
        except BlockingIOError:
            return
        except BrokenPipeError:
            # It ended or closed its end. How it ended, the zygote tells.
            self._unsent.clear()
        self._poll.unregister(self._ends.request)

    def _read(self) -> Answer | None:
        chunk = os.read(self._ends.answer, CHUNK_BYTES)
        if not chunk:
            self._poll.unregister(self._ends.answer)
            self._closed_at = time.monotonic()
        try:
            for frame in self._intake.feed(chunk):
                if frame.kind == wire.ANSWER:
                    return wire.read_answer(frame)
                if frame.kind == wire.FAILURE:
                    raise verdict.of_failure(wire.read_failure(frame))
                self._last = wire.read_progress(frame)
        except wire.TooLarge as error:
            raise OutputTooLarge from error
        except wire.BadFrame as error:
            raise JobDied(f"The computation's process sent something that is no answer: {error}.") from error
        return None

    def _hear(self) -> Answer | None:
        """What the zygote says: that the job began, why it can't, or how it ended."""
        try:
            message, descriptors, _, _ = socket.recv_fds(
                self._ends.status, wire.SHORT_BYTES, 1, socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionError:
            message, descriptors = b"", []
        said: dict[str, Any] = json.loads(message or b"{}")
        if "pid" in said:
            self._process = descriptors[0]
            self._memory = Memory(said["pid"])
            return None
        return self._rest() or self._fail(said)

    def _rest(self) -> Answer | None:
        """What the job answered before it ended."""
        with contextlib.suppress(BlockingIOError):
            while self._closed_at is None:
                if (found := self._read()) is not None:
                    return found
        return None

    def _fail(self, said: dict[str, Any]) -> NoReturn:
        if "status" in said:
            raise verdict.of_status(said["status"], out_of_time=said["cpu_s"] >= self._terms.limits.cpu_s)
        if "unavailable" in said:
            raise verdict.unavailable(said["unavailable"])
        if "failed" in said:
            raise JobDied(f"The computation can't be started: {said['failed']}")
        if self._process is None:
            raise NotBegun
        raise JobDied("The process that computations come from ended, and with it this one. Try again.")

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY_S:
            return
        self._looked = now
        self._terms.stop()
        if now > self._terms.deadline:
            raise OutOfTime
        if self._closed_at is not None and now - self._closed_at > (TOLD_S if self._is_gone() else LOOK_EVERY_S):
            raise JobDied
        self._weigh()
        self._tell()

    def _is_gone(self) -> bool:
        return self._process is None or bool(select.select([self._process], [], [], 0)[0])

    def _weigh(self) -> None:
        limits = self._terms.limits
        if self._memory and self._memory.own_bytes(enough=limits.memory_bytes) > limits.memory_bytes:
            raise OutOfMemory
        used, files = used_bytes(self._terms.scratch)
        if used > limits.disk_bytes or files > MOST_FILES:
            raise verdict.folder_full()

    def _tell(self, *, now: bool = False) -> None:
        """Pass the newest report on, not too often."""
        report, moment = self._last, time.monotonic()
        if report is None or self._terms.progress is None or (moment - self._told < REPORT_EVERY_S and not now):
            return
        self._last, self._told = None, moment
        self._terms.progress(report.done, report.total, report.text)
