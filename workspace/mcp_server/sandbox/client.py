"""The server's side: asks for a job, watches it, takes its answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mcp_server.errors import JobDied
from mcp_server.jobs.contract import Report
from mcp_server.sandbox import wire
from mcp_server.sandbox.budget import BUDGETS, Turns
from mcp_server.sandbox.ends import NotBegun, open_ends
from mcp_server.sandbox.jobs import Answer, Job
from mcp_server.sandbox.link import Patience, ZygoteLink
from mcp_server.sandbox.scratch import Scratch
from mcp_server.sandbox.watch import Terms, Watch

# The zygote leaves when it is idle, which may be in the moment that a job comes.
TRIES = 3


class Cancelled(Exception):
    """The caller no longer wants the job."""


class Sandbox:
    """Runs jobs in confined child processes. One per server; its methods may be called from several threads at once."""

    def __init__(
        self, *, tier: str, unconfined: bool = False, spare: Path | None = None, patience: Patience | None = None
    ) -> None:
        """`spare` is a folder for temporary files where the system has none."""
        self._budget = BUDGETS[tier]
        self._turns = Turns(self._budget.at_once)
        self._scratch = Scratch(spare=spare)
        self._link = ZygoteLink(self._scratch, unconfined=unconfined, patience=patience or Patience())
        self._closed = threading.Event()

    @property
    def at_once(self) -> int:
        """How many jobs may run at once."""
        return self._budget.at_once

    @property
    def running(self) -> int:
        """How many jobs run now."""
        return self._turns.running

    def run(self, job: Job, *, progress: Report | None = None, cancelled: Callable[[], bool] | None = None) -> Answer:
        """Run the job to its end and return its answer. Blocks: for worker threads.

        Raises a SandboxFailed: OutOfTime, OutOfMemory, OutputTooLarge, Forbidden, StrategyFailed, JobDied or, where the
        kernel can't confine, SandboxUnavailable. When `cancelled`, asked every few milliseconds, says so the job is killed
        and Cancelled raised; when the task that this worker thread works for is cancelled, its cancellation is raised.
        """
        limits = self._budget.lower(job.limits)
        deadline = time.monotonic() + limits.wall_s
        stop = self._stop(cancelled)
        turn = self._turns.taken(deadline=deadline, stop=stop, patient=job.patient)
        with turn, self._scratch.one() as folder:
            terms = Terms(limits, deadline, folder, progress, stop)
            for _ in range(TRIES):
                try:
                    return self._attempt(job, terms)
                except NotBegun:
                    continue
        raise JobDied("The process that computations come from ended before it began this one. Try again.")

    def close(self) -> None:
        """End all jobs and the process that they come from."""
        self._closed.set()
        # First, so that no zygote is started once this one has been ended: each needs a folder.
        self._scratch.remove()
        self._link.close()

    def _attempt(self, job: Job, terms: Terms) -> Answer:
        with open_ends() as (ours, theirs):
            request = wire.encode_request(job.arguments, job.arrays)
            watch = Watch(ours, terms, request=request)
            try:
                self._link.ask(_asked(job, terms), theirs.descriptors)
                theirs.close()
                return watch.answer()
            finally:
                watch.end()

    def _stop(self, cancelled: Callable[[], bool] | None) -> Callable[[], None]:
        def stop() -> None:
            if self._closed.is_set():
                raise JobDied("The workspace is stopping, which ended the computation.")
            if cancelled is not None and cancelled():
                raise Cancelled
            _check_task()

        return stop


def _asked(job: Job, terms: Terms) -> dict[str, Any]:
    limits = terms.limits
    return {
        "entry": job.entry,
        "preload": job.preload,
        "scratch": terms.scratch,
        "cpu_s": limits.cpu_s,
        "memory_bytes": limits.memory_bytes,
        "disk_bytes": limits.disk_bytes,
        "output_bytes": limits.output_bytes,
    }


def _check_task() -> None:
    """Raise the cancellation of the task that this thread works for, if it works for one and that is cancelled."""
    from anyio import NoEventLoopError, from_thread  # noqa: PLC0415 - the zygote, which imports this too, needs none

    with suppress(NoEventLoopError):
        from_thread.check_cancelled()
