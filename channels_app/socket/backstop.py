"""What finds, for all the sockets of a process, what hints have not told: one task, and one statement for all users."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol
from weakref import WeakKeyDictionary

import psycopg
import structlog

from agents.open_turns import open_turns_of
from gateway.ending import end

# Reading a journal again is cheap, asking the database for turns less so.
POLL_S = 2.0
POLLS_PER_LOOK = 5

log = structlog.get_logger(__name__)


class Follower(Protocol):
    """A socket, as far as it is looked after."""

    user_id: str

    def poll(self) -> None:
        """Look at every turn that is followed."""

    def adopt(self, turn: str) -> None:
        """Follow a turn of the user's that is open, unless it is known."""


class Backstop:
    """The sockets of one event loop."""

    def __init__(self) -> None:
        self._followers: set[Follower] = set()
        self._task: asyncio.Task[None] | None = None

    def add(self, follower: Follower) -> None:
        """Look after a socket."""
        self._followers.add(follower)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="look after sockets")

    async def remove(self, follower: Follower) -> None:
        """It is gone."""
        self._followers.discard(follower)
        if not self._followers and self._task is not None:
            task, self._task = self._task, None
            await end([task])

    async def _run(self) -> None:
        polls = 0
        while True:
            await asyncio.sleep(POLL_S)
            polls += 1
            if polls % POLLS_PER_LOOK == 0:
                await self._look_for_turns()
            for follower in [*self._followers]:
                _guarded(follower.poll)

    async def _look_for_turns(self) -> None:
        try:
            found = await open_turns_of({follower.user_id for follower in self._followers})
        except psycopg.Error as error:
            log.warning("open_turns_not_read", error=type(error).__name__)
            return
        for follower in [*self._followers]:
            for turn in found.get(follower.user_id, ()):
                _guarded(partial(follower.adopt, turn))


def _guarded(act: Callable[[], None]) -> None:
    try:
        act()
    except Exception:  # what is wrong with one socket must not keep the others from being looked after
        log.exception("socket_not_looked_after")


_backstops: "WeakKeyDictionary[asyncio.AbstractEventLoop, Backstop]" = WeakKeyDictionary()


@asynccontextmanager
async def looked_after(follower: Follower) -> AsyncIterator[None]:
    """Find what hints do not tell a socket meanwhile."""
    backstop = _backstops.setdefault(asyncio.get_running_loop(), Backstop())
    backstop.add(follower)
    try:
        yield
    finally:
        await backstop.remove(follower)
