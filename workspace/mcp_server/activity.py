"""Whether the workspace is in use: what its lifecycle sidecar asks before it stops an idle one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Literal

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

# Requests that do something for the user. Pings, lists and discovery come from any connected client, used or not.
USEFUL = frozenset({"tools/call", "resources/read", "prompts/get"})

# How many there are now: asked on the event loop at each look of the sidecar, so from memory and at once.
Count = Callable[[], int]
Counted = Literal["deployments", "backtests", "kept"]


class Activity:
    """Counts useful requests; an MCP middleware around every message.

    Times are seconds since the epoch by this machine's clock. Only the event loop's thread touches it.
    """

    def __init__(self) -> None:
        self.started = time.time()
        self.last_useful = self.started
        self.in_flight = 0
        self._tools: set[str] = set()
        self._counts: dict[Counted, list[Count]] = {"deployments": [], "backtests": [], "kept": []}

    def know(self, tools: Iterable[str]) -> None:
        """Say which tools there are, one more time where some are added: to call another one is of no use to anybody."""
        self._tools.update(tools)

    def count(self, what: Counted, count: Count) -> None:
        """Add `count` to what `/activity` says is running.

        'deployments' are the live ones, 'kept' those of them that the user asked to keep; 'backtests' are the sandbox's
        jobs, also those that no request waits for. The sidecar never stops a workspace with backtests or kept deployments.
        """
        self._counts[what].append(count)

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if not self._is_useful(ctx):
            return await call_next(ctx)
        self.in_flight += 1
        self.last_useful = time.time()
        try:
            return await call_next(ctx)
        finally:
            self.in_flight -= 1
            self.last_useful = time.time()

    def _is_useful(self, ctx: ServerRequestContext[Any, Any]) -> bool:
        if ctx.method == "tools/call":
            return (ctx.params or {}).get("name") in self._tools
        return ctx.method in USEFUL

    def report(self) -> dict[str, Any]:
        """What `/activity` answers."""
        return {
            "in_flight": self.in_flight,
            "last_useful": self.last_useful,
            "started": self.started,
            "running": {"deployments": self._total("deployments"), "backtests": self._total("backtests")},
            "kept": self._total("kept"),
        }

    def _total(self, what: Counted) -> int:
        return sum(count() for count in self._counts[what])
