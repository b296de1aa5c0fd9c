"""The sandbox's twin that runs a job's own code in the test's process, for tests of what is made of its answer."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from mcp_server.errors import JobDied
from mcp_server.jobs.contract import Result, Task
from mcp_server.sandbox.jobs import Answer, Job


class JobsInPlace:
    """Runs jobs at once; what a job lets pass is its death, as in the sandbox."""

    def __init__(self) -> None:
        self.ran: list[Job] = []

    def run(self, job: Job) -> Answer:
        self.ran.append(job)
        module, _, function = job.entry.partition(":")
        try:
            result: Result = getattr(import_module(module), function)(Task(job.arguments, job.arrays))
        except Exception as error:
            raise JobDied from error
        return Answer(dict(result.values), _plain(result.arrays), dict(result.blobs))


def _plain(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return dict(arrays)
