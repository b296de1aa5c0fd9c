"""Work of a socket that may take seconds, one piece after another, so that nothing else waits for it."""

import asyncio
from collections.abc import Awaitable, Callable

Work = Callable[[], Awaitable[None]]

# More than a person asks for at once.
LANE_LENGTH = 8


class Lane:
    """A short queue of slow work."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[tuple[str | None, Work]] = asyncio.Queue(LANE_LENGTH)
        self._keys: set[str | None] = set()

    def offer(self, work: Work, *, key: str | None = None) -> bool:
        """Do `work` when its turn comes; False when too much waits already, or the same `key` does."""
        if self._queue.full() or (key is not None and key in self._keys):
            return False
        self._keys.add(key)
        self._queue.put_nowait((key, work))
        return True

    async def run(self) -> None:
        """Do what was offered, until cancelled. What a piece raises passes through."""
        while True:
            key, work = await self._queue.get()
            try:
                await work()
            finally:
                self._keys.discard(key)
