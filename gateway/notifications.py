"""Notifications of what was committed, sent apart from what they tell of.

A transaction that notifies holds a lock of the whole database server from before its commit until that is on the disk
(PostgreSQL, `PreCommit_Notify`: AccessExclusiveLock on "database 0"): such commits wait for the disk one after the other,
where all others share one write. So what was committed is told of afterwards, in a transaction that waits for no disk.
Whoever listens looks at its rows once a second as well: a notification that is lost with its process costs that long.
"""

import asyncio
from contextvars import Context
from typing import Any

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool

# A channel and its payload.
Notification = tuple[str, str]

# Beyond so many a second they go together.
GAP_S = 0.005
_SEND = """
    SELECT set_config('synchronous_commit', 'off', true), pg_notify(channel, payload)
    FROM unnest(%s::text[], %s::text[]) AS t(channel, payload)
"""

log = structlog.get_logger(__name__)


async def send(conn: psycopg.AsyncConnection[Any], notifications: list[Notification]) -> None:
    """Send them now, on a connection without a transaction."""
    await conn.execute(_SEND, ([channel for channel, _ in notifications], [payload for _, payload in notifications]))


class Notifier:
    """Sends what it is given, alike ones once, by the connections of a pool; those that come meanwhile go together."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool
        self._waiting: dict[Notification, None] = {}
        self._task: asyncio.Task[None] | None = None

    def send(self, notifications: list[Notification]) -> None:
        """Begin to send them."""
        self._waiting |= dict.fromkeys(notifications)
        if self._task is None:
            # No part of the turn or request that it tells of.
            self._task = asyncio.create_task(self._send(), context=Context())

    async def end(self) -> None:
        """Wait until all are sent."""
        if self._task is not None:
            await self._task

    async def _send(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = [*self._waiting], {}
                try:
                    async with self._pool.connection() as conn:
                        await send(conn, waiting)
                except psycopg.Error as error:
                    log.warning("notifications_lost", error=type(error).__name__, number=len(waiting))
                await asyncio.sleep(GAP_S)
        finally:
            self._task = None
