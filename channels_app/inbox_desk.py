"""Take the messages that wait in the inbox: side by side between users and channels, one after another within each."""

import asyncio
from collections.abc import Callable
from uuid import UUID

import psycopg
import structlog

from channels_app import inbox
from channels_app.channels import channels
from channels_app.files_in import AWAY, take
from channels_app.inbox import Kept
from gateway.services import Services

# A file of 3 MB is in memory two or three times.
AT_ONCE = 8
# While the database or Redis is away.
PAUSE_S = 1.0
# How long a process that is told to stop waits for what it fetches; another one goes on with the rest.
DRAIN_S = 5.0

log = structlog.get_logger(__name__)


async def run(services: Services) -> None:
    """Take what comes until `services.stopping` is set."""
    # Asked for before the wake-ups begin to run, so that nothing is missed.
    waiting = services.wakeups.on("inbox")
    desk = Desk(services.lease.id, on_end=lambda: waiting.put(""))
    try:
        while not services.stopping.is_set():
            try:
                await desk.begin()
            except psycopg.Error as error:
                log.warning("inbox_failed", error=type(error).__name__, exc_info=not isinstance(error, AWAY))
            await waiting.wait()
    finally:
        await desk.end()


class Desk:
    """The messages that a process works on. `on_end` is called when one of them is done: its user's next may come."""

    def __init__(self, holder: UUID, *, on_end: Callable[[], None] = lambda: None) -> None:
        self._holder = holder
        self._on_end = on_end
        self._working: dict[asyncio.Task[None], Kept] = {}

    async def begin(self) -> int:
        """Begin with as many as there is room for; how many those are. Raises psycopg.Error."""
        room = AT_ONCE - len(self._working)
        if room == 0:
            return 0
        on = [name for name, channel in channels().items() if channel.is_on()]
        busy = [kept.id for kept in self._working.values()]
        claimed = await inbox.claim(self._holder, channels=on, busy=busy, limit=room)
        for kept in claimed:
            task = asyncio.create_task(_work(kept), name=f"inbox {kept.id}")
            self._working[task] = kept
            task.add_done_callback(self._ended)
        return len(claimed)

    async def rest(self, *, timeout_s: float | None = None) -> None:
        """Wait for what was begun."""
        if self._working:
            await asyncio.wait([*self._working], timeout=timeout_s)

    async def end(self, *, patience_s: float = DRAIN_S) -> None:
        """Let what was begun end for a while, and leave the rest to others."""
        await self.rest(timeout_s=patience_s)
        late = dict(self._working)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        for kept in late.values():
            try:
                await inbox.put_back(kept)
            except psycopg.Error as error:
                # It is claimed anew once this process's lease is gone.
                log.warning("inbox_failed", error=type(error).__name__)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._working[task]
        self._on_end()


async def _work(kept: Kept) -> None:
    try:
        await take(kept)
    except AWAY as error:
        # Nothing was lost: the row is claimed anew.
        log.warning("inbox_failed", error=type(error).__name__)
        await asyncio.sleep(PAUSE_S)
    except Exception:  # even giving up failed; the message is claimed anew, but not at once for ever
        log.exception("inbox_broke", channel=kept.channel, message=kept.id)
        await asyncio.sleep(PAUSE_S)
