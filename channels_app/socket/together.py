"""Run the loops of one socket as one: when it ends, all end; when one breaks, all break."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from gateway.ending import end

Loop = Coroutine[Any, Any, None]


async def run_together(deciding: Sequence[Loop], *, beside: Sequence[Loop]) -> None:
    """Run all until one of `deciding` has ended, then cancel the rest. The first exception of any is raised."""
    enders = {asyncio.create_task(loop) for loop in deciding}
    everything = enders | {asyncio.create_task(loop) for loop in beside}
    try:
        waiting = everything
        while not any(task.done() for task in enders):
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        await end(everything)
