"""Progress of a tool call, from the worker thread that does it to the client that waits."""

from __future__ import annotations

from typing import Any

from anyio import from_thread
from mcp.server.mcpserver import Context

from mcp_server.jobs.contract import Report


def reporter(context: Context[Any, Any]) -> Report:
    """Sends each report to the client of this call, if it asked for progress. For the worker thread of the call."""

    def report(done: float, total: float | None, text: str) -> None:
        from_thread.run(context.report_progress, done, total, text)

    return report
