"""Work that goes on to its end when whoever waits for it stops waiting."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

T = TypeVar("T")

log = structlog.get_logger(__name__)

# The event loop itself keeps only weak references to its tasks.
_working: set["asyncio.Task[Any]"] = set()


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """What the work returns or raises. A fault that nobody waits for any more is logged by its name."""
    task = asyncio.create_task(work)
    _working.add(task)
    task.add_done_callback(_working.discard)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_tell)
        raise


def _tell(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("nobody_waited", error=type(error).__name__)
