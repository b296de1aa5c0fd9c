"""The server's side: asks for a job, watches it, takes its answer."""

from __future__ import annotations

from collections.abc import Callable

from mcp_server.jobs.contract import Report
from mcp_server.sandbox.jobs import Answer, Job


class Sandbox:
    """Runs jobs in confined child processes. One per server; its methods may be called from several threads at once."""

    def __init__(self, *, tier: str, unconfined: bool = False) -> None:
        self._tier = tier
        self._unconfined = unconfined

    def run(self, job: Job, *, progress: Report | None = None, cancelled: Callable[[], bool] | None = None) -> Answer:
        """Run the job to its end and return its answer. Blocks: for worker threads.

        Raises a SandboxFailed: OutOfTime, OutOfMemory, OutputTooLarge, Forbidden, StrategyFailed, JobDied or, where the
        kernel can't confine, SandboxUnavailable. `cancelled` is asked every few milliseconds; the task that this worker
        thread works for being cancelled ends the job too.
        """
        raise NotImplementedError

    def close(self) -> None:
        """End all jobs and the process that they come from."""
