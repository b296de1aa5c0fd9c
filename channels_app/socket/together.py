"""Run the two loops of one socket as one: when one ends, both end; what one raises is raised."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from gateway.ending import end


async def run_together(*loops: Coroutine[Any, Any, None]) -> None:
    """Run all until one has ended, then cancel the rest. Raises what it raised."""
    running = [asyncio.create_task(loop) for loop in loops]
    try:
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await end(running)
