"""A limit on starts at once; who must wait knows the place in line."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager

from provisioning.backends._kubernetes.causes import failure_of_cause
from provisioning.errors import Cause

# How often those who wait are told that they have moved on.
TELL_EVERY_S = 1.0


class Line:
    """First come, first served, by `places` at once."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @asynccontextmanager
    async def turn(
        self, tell: Callable[[int], Awaitable[None]], *, within_s: float
    ) -> AsyncIterator[Callable[[], None]]:
        """A place inside the block, or until what it gives is called; `tell` is awaited with the position in line, 1 = the next,
        while it changes.

        Raises WorkspaceFailed when there is none after `within_s`.
        """
        if self._free > 0 and not self._waiting:
            self._free -= 1
        else:
            try:
                async with asyncio.timeout(within_s):
                    await self._wait(tell)
            except TimeoutError:
                raise failure_of_cause(Cause.QUEUE, f"no place within {within_s:g} s") from None
        with ExitStack() as place:
            place.callback(self._leave)
            yield place.close

    async def _wait(self, tell: Callable[[int], Awaitable[None]]) -> None:
        ours: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(ours)
        told = 0
        try:
            while not ours.done():
                position = self._waiting.index(ours) + 1
                if position != told:
                    told = position
                    await tell(position)
                await asyncio.wait([ours], timeout=TELL_EVERY_S)
        except BaseException:
            # A place that was given in the same moment goes to the next.
            if ours.done():
                self._leave()
            else:
                self._waiting.remove(ours)
            raise

    def _leave(self) -> None:
        if self._waiting:
            self._waiting.popleft().set_result(None)
        else:
            self._free += 1
