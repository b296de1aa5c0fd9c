"""Async access to PostgreSQL: a bounded pool for each event loop that opened one, a single connection elsewhere."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.conf import settings
from django.db import connections
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool

from gateway import notifications
from gateway.notifications import Notification, Notifier

# Enough for the claims, heartbeats and settlements of hundreds of turns: none is held across a wait on a model or tool.
POOL_SIZE = 8
# A statement is prepared at its second use on a connection, and there is room for all of ours: planning one anew takes
# longer than running it.
PREPARE_AFTER, MOST_PREPARED = 1, 500
POOL_WAIT_S = 10.0
# A server that went away without a word is noticed within about 10 s, as a lease is (libpq: seconds, but the last in ms).
DEADLINES: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


class Connection(psycopg.AsyncConnection[Any]):
    """One that tells of what it has committed, see `notify`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._untold: list[Notification] = []

    @asynccontextmanager
    async def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> AsyncIterator[psycopg.AsyncTransaction]:
        """As psycopg's own; the outermost one's notifications are sent once it is committed."""
        outermost = self.info.transaction_status == TransactionStatus.IDLE
        try:
            async with super().transaction(savepoint_name, force_rollback) as transaction:
                yield transaction
        except BaseException:
            if outermost:
                self._untold.clear()
            raise
        if outermost and self._untold:
            untold, self._untold = self._untold, []
            if not force_rollback:
                await self._tell(untold)

    async def notify(self, channel: str, payload: str) -> None:
        """See the function of this name."""
        if self.info.transaction_status == TransactionStatus.IDLE:
            await self._tell([(channel, payload)])
        else:
            self._untold.append((channel, payload))

    async def _tell(self, told: list[Notification]) -> None:
        found = _pools.get(asyncio.get_running_loop())
        if found is not None:
            found.notifier.send(told)
        else:
            await notifications.send(self, told)


@dataclass(frozen=True, slots=True)
class _Pool:
    """A loop's connections, and what sends its notifications."""

    connections: AsyncConnectionPool[Connection]
    notifier: Notifier


_pools: "WeakKeyDictionary[asyncio.AbstractEventLoop, _Pool]" = WeakKeyDictionary()


def conninfo(*, direct: bool = False) -> str:
    """The connection string of Django's default database (in tests: the test database).

    `direct` prefers DATABASE_DIRECT_URL, for what a transaction pooler can't serve (LISTEN, advisory locks).
    """
    if direct and settings.DATABASE_DIRECT_URL:
        return make_conninfo(str(settings.DATABASE_DIRECT_URL), **DEADLINES)
    parameters = connections["default"].get_connection_params()
    for django_only in ("cursor_factory", "context", "prepare_threshold"):
        parameters.pop(django_only, None)
    return make_conninfo(**(DEADLINES | parameters))


async def open_pool() -> None:
    """Open the running loop's pool; again is no error."""
    loop = asyncio.get_running_loop()
    if loop in _pools:
        return
    # Behind a transaction pooler a prepared statement may be another connection's.
    prepares = not settings.DATABASE_DIRECT_URL
    pool = AsyncConnectionPool(
        conninfo(),
        connection_class=Connection,
        min_size=1,
        max_size=POOL_SIZE,
        timeout=POOL_WAIT_S,
        open=False,
        configure=_keep_plans if prepares else None,
        kwargs={"autocommit": True, "prepare_threshold": PREPARE_AFTER if prepares else None},
    )
    _pools[loop] = _Pool(pool, Notifier(pool))
    await pool.open()


async def _keep_plans(conn: Connection) -> None:
    """Plan each statement once, whatever its values are.

    All of ours find rows by index for any value. PostgreSQL holds planning for cheaper than it is, and would plan some of
    them at each use: 1.7 ms of the 2.8 ms that it took to accept a message.
    """
    conn.prepared_max = MOST_PREPARED
    await conn.execute("SET plan_cache_mode = force_generic_plan")


async def close_pool() -> None:
    """Close the running loop's pool, if it opened one."""
    pool = _pools.pop(asyncio.get_running_loop(), None)
    if pool is not None:
        await pool.notifier.end()
        await pool.connections.close()


@asynccontextmanager
async def connection() -> AsyncIterator[Connection]:
    """An autocommit connection; `async with conn.transaction()` makes a transaction on it.

    Raises psycopg_pool.PoolTimeout (a psycopg.OperationalError) when none comes free within 10 s.
    """
    pool = _pools.get(asyncio.get_running_loop())
    if pool is not None:
        async with pool.connections.connection() as conn:
            yield conn
        return
    async with await Connection.connect(conninfo(), autocommit=True) as conn:
        yield conn


async def notify(conn: Connection, channel: str, payload: str = "") -> None:
    """Wake listeners of `channel` once the transaction on `conn` has committed; at once where there is none."""
    await conn.notify(channel, payload)
