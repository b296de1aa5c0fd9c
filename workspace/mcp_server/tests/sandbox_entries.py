"""Entries that the tests run in the sandbox."""

from __future__ import annotations

import time
from typing import Any

from mcp_server.jobs.contract import STRATEGY_FILE, Refused, Result, Task

NAME = __name__

SHARED = bytearray(48 * 1024 * 1024)
for _at in range(0, len(SHARED), 4096):
    SHARED[_at] = 2


def echo(task: Task) -> Result:
    """What it was given."""
    return Result(values=task.arguments, arrays=task.arrays)


def source(task: Task) -> Result:
    """Runs `source`, which puts what it answers into `values`, `arrays` and `blobs`."""
    space: dict[str, Any] = {"task": task, "values": {}, "arrays": {}, "blobs": {}}
    code = compile(task.arguments["source"], STRATEGY_FILE, "exec", dont_inherit=True)
    exec(code, space)  # noqa: S102 - what the sandbox is for
    return Result(values=space["values"], arrays=space["arrays"], blobs=space["blobs"])


def refuses(_task: Task) -> Result:
    """Finds fault with the user's code."""
    raise Refused("signals returns a list of 3 weights for 5 bars", 12)


def touches(_task: Task) -> Result:
    """Changes 48 MB that were there before this process."""
    for at in range(0, len(SHARED), 4096):
        SHARED[at] = 1
    # Long enough for somebody to look.
    time.sleep(0.3)
    return Result(values={})
