"""Entries that the tests run in the sandbox."""

from __future__ import annotations

from mcp_server.jobs.contract import Result, Task


def echo(task: Task) -> Result:
    """What it was given."""
    return Result(values=task.arguments, arrays=task.arrays)


def source(task: Task) -> Result:
    """Runs `source` and answers what it leaves in `values`, `arrays` and `blobs`."""
    space = {"task": task, "values": {}, "arrays": {}, "blobs": {}}
    exec(compile(task.arguments["source"], "<strategy>", "exec"), space)
    return Result(values=space["values"], arrays=space["arrays"], blobs=space["blobs"])
