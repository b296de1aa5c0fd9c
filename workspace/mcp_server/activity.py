"""Whether the workspace is in use: what its lifecycle sidecar asks before it stops an idle one."""

from __future__ import annotations

import time
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

# Requests that do something for the user. Pings, lists and discovery come from any connected client, used or not.
USEFUL = frozenset({"tools/call", "resources/read"})


class Activity:
    """Counts useful requests; an MCP middleware around every message.

    Times are seconds since the epoch by this machine's clock. Only the event loop's thread touches it.
    """

    def __init__(self) -> None:
        self.started = time.time()
        self.last_useful = self.started
        self.in_flight = 0

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.method not in USEFUL:
            return await call_next(ctx)
        self.in_flight += 1
        self.last_useful = time.time()
        try:
            return await call_next(ctx)
        finally:
            self.in_flight -= 1
            self.last_useful = time.time()

    def report(self) -> dict[str, float]:
        """What `/activity` answers."""
        return {"in_flight": self.in_flight, "last_useful": self.last_useful, "started": self.started}
