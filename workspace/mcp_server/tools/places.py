"""Few heavy calls at once: each has many bars in memory for as long as its jobs take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp.server.mcpserver.exceptions import ToolError

# Of calls that prepare a job or take its answer while others run: each may have 20 MB of bars and weights.
BEYOND_JOBS = 2
# Longer than a client waits.
PATIENCE_S = 600.0
TOO_LONG = "Other computations of this workspace took all the time. Try again when they have ended."


class Places:
    """Lets so many heavy calls in at once, first come first served.

    The others wait as tasks: there are 40 worker threads, and one that waits is one that no quick tool gets.
    """

    def __init__(self, at_once: int, *, patience_s: float = PATIENCE_S) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._patience_s = patience_s

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Hold a place. Raises ToolError when none comes free in time."""
        try:
            async with asyncio.timeout(self._patience_s):
                await self._free.acquire()
        except TimeoutError as error:
            raise ToolError(TOO_LONG) from error
        try:
            yield
        finally:
            self._free.release()
