"""End tasks for certain."""

import asyncio
from collections.abc import Iterable
from typing import Any

# How long a task may take over its cancellation before it is cancelled again.
AGAIN_AFTER_S = 0.2


async def end(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancel the tasks until all have ended; what they raise is of no interest any more.

    Once is not enough for one that loops: before Python 3.12, `asyncio.wait_for` swallows a cancellation that comes when
    what it waits for has just been done (python/cpython#86296), and psycopg's pool waits with it.
    """
    running = ending = set(tasks)
    while running := {task for task in running if not task.done()}:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=AGAIN_AFTER_S)
    # One whose error nobody asks for is reported as forgotten.
    await asyncio.gather(*ending, return_exceptions=True)
