"""Work of a socket that may take seconds, one piece after another, so that nothing else waits for it."""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.ending import end

Work = Callable[[], Awaitable[None]]

# More than a person asks for at once.
LANE_LENGTH = 8


class Lane:
    """A short queue of slow work. `on_broken` is told what a piece raised, which ends the lane."""

    def __init__(self, *, on_broken: Callable[[BaseException], None]) -> None:
        self._on_broken = on_broken
        self._waiting: list[tuple[str | None, Work]] = []
        self._keys: set[str | None] = set()
        # Most sockets are idle most of the time, and have none.
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def offer(self, work: Work, *, key: str | None = None) -> bool:
        """Do `work` when its turn comes; False when too much waits already, or the same `key` does."""
        if len(self._waiting) >= LANE_LENGTH or (key is not None and key in self._keys):
            return False
        self._keys.add(key)
        self.push(work, key=key)
        return True

    def push(self, work: Work, *, key: str | None = None) -> None:
        """The same with work that must not be left out, of which there is little."""
        if self._closed:
            return
        self._waiting.append((key, work))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="slow work of a socket")
            self._task.add_done_callback(self._ended)

    async def end(self) -> None:
        """Stop, whatever waits, and take nothing more."""
        self._closed = True
        self._waiting.clear()
        if self._task is not None:
            await end([self._task])

    async def _run(self) -> None:
        while self._waiting:
            key, work = self._waiting.pop(0)
            try:
                await work()
            finally:
                self._keys.discard(key)
        self._task = None

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()):
            self._on_broken(error)
