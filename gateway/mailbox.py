"""A queue that takes no memory to speak of while it is empty.

Each `asyncio.Queue` keeps three deques of 600 bytes, and an `asyncio.Event` one: a thousand idle sockets with a handful of them
took more for these than for all else.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Bell:
    """Wakes the one who waits for it; rung before, it wakes at once, however often it was rung."""

    __slots__ = ("_rung", "_waiting")

    def __init__(self) -> None:
        self._rung = False
        self._waiting: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """Wake who waits, or will."""
        self._rung = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def wait(self) -> None:
        """Wait until it has been rung since the last wait. May be cancelled at any time; one waits at a time."""
        if not self._rung:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        self._rung = False


class Mailbox(Generic[T]):
    """What `asyncio.Queue` is to many takers this is to one; `most` = 0 is no limit."""

    __slots__ = ("_act", "_bell", "_items", "_most")

    def __init__(self, most: int = 0) -> None:
        self._most = most
        self._items: deque[T] | None = None
        self._bell = Bell()
        self._act: Callable[[T], None] | None = None

    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._items

    def full(self) -> bool:
        """Whether no more may wait."""
        return 0 < self._most <= len(self._items or ())

    def put_nowait(self, item: T) -> None:
        """Leave an item. Raises asyncio.QueueFull."""
        if self._act is not None:
            self._act(item)
            return
        if self.full():
            raise asyncio.QueueFull
        if self._items is None:
            self._items = deque()
        self._items.append(item)
        self._bell.ring()

    def get_nowait(self) -> T:
        """The oldest item. Raises asyncio.QueueEmpty."""
        if not self._items:
            raise asyncio.QueueEmpty
        item = self._items.popleft()
        if not self._items:
            self._items = None
        return item

    async def get(self) -> T:
        """The oldest item, once there is one; may be cancelled at any time. Not together with `hand_over`."""
        while not self._items:
            await self._bell.wait()
        return self.get_nowait()

    def hand_over(self, act: Callable[[T], None]) -> None:
        """Give `act` what waits, and from now on each item as it comes."""
        self._act = act
        while self._items:
            act(self.get_nowait())
