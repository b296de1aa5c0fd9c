"""One LISTEN connection a process: rows are the queue, notifications only say that it is worth looking now."""

import asyncio
from collections import defaultdict

import psycopg
import structlog
from psycopg import sql

from gateway.db import conninfo

RECONNECT_S = 1.0
# What a wait holds at the most: beyond it the waiter looks at its rows anyway.
MAX_PAYLOADS = 1000

log = structlog.get_logger(__name__)


class Signal:
    """What one waiter sees of a channel."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._payloads: list[str] = []

    @property
    def pending(self) -> bool:
        """Whether the next wait ends at once."""
        return self._event.is_set()

    def put(self, payload: str) -> None:
        """Wake the waiter with `payload`."""
        if len(self._payloads) < MAX_PAYLOADS:
            self._payloads.append(payload)
        self._event.set()

    async def wait(self, *, timeout_s: float = 1.0) -> list[str]:
        """The payloads since the last wait; none after `timeout_s` (every wait is a poll too), or when all are to look."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return []
        payloads, self._payloads = self._payloads, []
        self._event.clear()
        return [payload for payload in payloads if payload]


class Wakeups:
    """Notifications of the database, given out to the signals of their channels."""

    def __init__(self) -> None:
        self._signals: dict[str, list[Signal]] = defaultdict(list)

    def on(self, *channels: str) -> Signal:
        """A signal of these channels; ask for it before `run` begins."""
        signal = Signal()
        for channel in channels:
            self._signals[channel].append(signal)
        return signal

    def wake_all(self) -> None:
        """Wake every waiter, e.g. to stop."""
        for channel in self._signals:
            self._give(channel, "")

    async def run(self) -> None:
        """Listen until cancelled; a broken connection is made again, and all look at their rows meanwhile."""
        while True:
            try:
                await self._listen()
            except psycopg.Error as error:
                log.warning("listen_connection_lost", error=type(error).__name__)
                await asyncio.sleep(RECONNECT_S)

    async def _listen(self) -> None:
        async with await psycopg.AsyncConnection.connect(conninfo(direct=True), autocommit=True) as conn:
            for channel in self._signals:
                await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            self.wake_all()
            async for notification in conn.notifies():
                self._give(notification.channel, notification.payload)

    def _give(self, channel: str, payload: str) -> None:
        for signal in self._signals[channel]:
            signal.put(payload)
