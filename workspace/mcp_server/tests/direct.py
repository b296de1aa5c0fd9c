"""A sandbox that confines nothing: jobs run in this process. For tests of what is asked and answered."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable

from mcp_server.errors import StrategyFailed
from mcp_server.jobs.contract import Refused, Report, Task, no_report
from mcp_server.sandbox import Answer, Job
from mcp_server.sandbox.client import Cancelled


class DirectRunner:
    """Counts its `runs`. As in the sandbox, only plain JSON and copies of arrays pass."""

    def __init__(self) -> None:
        self.runs = 0

    def run(self, job: Job, *, progress: Report | None = None, cancelled: Callable[[], bool] | None = None) -> Answer:
        import numpy as np

        if cancelled is not None and cancelled():
            raise Cancelled
        self.runs += 1
        module, name = job.entry.split(":")
        entry = getattr(importlib.import_module(module), name)
        arrays = {name: np.array(values) for name, values in job.arrays.items()}
        for values in arrays.values():
            values.flags.writeable = False
        try:
            result = entry(Task(json.loads(json.dumps(job.arguments)), arrays, progress or no_report))
        except Refused as refused:
            raise StrategyFailed(refused.message, refused.line) from refused
        values = json.loads(json.dumps(result.values, allow_nan=False))
        return Answer(values, {name: np.array(each) for name, each in result.arrays.items()}, dict(result.blobs))
