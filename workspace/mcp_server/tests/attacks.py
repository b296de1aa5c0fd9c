"""How the tests attack the sandbox."""

from __future__ import annotations

from typing import Any

from mcp_server.errors import SandboxFailed
from mcp_server.sandbox import Answer, Job, Limits, Sandbox
from mcp_server.sandbox.jobs import MIB
from mcp_server.tests.sandbox_entries import NAME as ENTRIES

# Processor time is what a machine with much else to do gives a job no less of; the wall clock is for what waits.
LIMITS = Limits(wall_s=60, cpu_s=10, memory_bytes=64 * MIB, output_bytes=MIB, disk_bytes=4 * MIB)


def source(text: str, *, limits: Limits = LIMITS, arguments: dict[str, Any] | None = None) -> Job:
    """A job that runs this as a strategy; `arguments` are in `task.arguments`."""
    return Job(f"{ENTRIES}:source", {"source": text, **(arguments or {})}, limits=limits)


def outcome(
    sandbox: Sandbox, text: str, *, limits: Limits = LIMITS, arguments: dict[str, Any] | None = None
) -> Answer | SandboxFailed:
    """The answer or the named error; the next job is served and nothing of this one is left."""
    try:
        return sandbox.run(source(text, limits=limits, arguments=arguments))
    except SandboxFailed as error:
        return error
    finally:
        assert sandbox.run(source("values['ok'] = 1")).values == {"ok": 1}
        assert list(sandbox._scratch.folder.glob("job-*")) == []
