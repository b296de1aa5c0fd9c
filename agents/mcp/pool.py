"""Connections to workspaces: one kept for each active user, made again when it is gone."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary, WeakValueDictionary

from accounts.licences import Licence
from agents.errors import AgentFailed
from agents.harness_types import ignore_stage
from agents.mcp.connection import Connection
from agents.mcp.errors import CallFailed, Reason
from agents.mcp.session import Session
from agents.mcp.wire import tls_context
from provisioning.endpoints import Endpoint
from provisioning.errors import Cause, WorkspaceFailed
from provisioning.stages import OnStage, report_of
from provisioning.workspaces import ensure_workspace, hold_workspace, workspace_news

# Seconds: long enough for a thoughtful pause in a talk, short enough that a thousand idle users hold no sockets.
IDLE_S = 300.0

# With these no other start of the workspace can go better, or the user has waited long enough.
_LASTING = {
    *(Cause.NEVER_READY, Cause.QUEUE, Cause.NOT_PLACED, Cause.SLOW_PULL, Cause.NO_NAMESPACE),
    *(Cause.NOT_INSTALLED, Cause.NOT_ALLOWED, Cause.INVALID_USER, Cause.DENIED),
}

# With these the workspace at this address is not the user's any more: it was stopped, or another's took its port.
_STALE = {Reason.UNREACHABLE, Reason.DENIED}


_Key = tuple[str, str]


class Pool:
    """The connections of one event loop."""

    def __init__(self, *, idle_s: float = IDLE_S) -> None:
        self._idle_s = idle_s
        self._kept: dict[_Key, Connection] = {}
        self._connecting: WeakValueDictionary[_Key, asyncio.Lock] = WeakValueDictionary()

    def session(self, licence: Licence, *, on_stage: OnStage = ignore_stage) -> Session:
        """The user's workspace for one turn; it is started when the first request needs it."""
        return Session(self, licence, on_stage)

    async def connection(
        self, licence: Licence, *, on_stage: OnStage, instead_of: Connection | None = None
    ) -> Connection:
        """A usable connection, other than `instead_of`, which was found broken.

        Whoever takes it has said that the workspace is wanted: it may be stopped sooner than the connection is.
        Raises AgentFailed when the workspace can't be started, CallFailed when it can't be reached.
        """
        key = (licence.user_id, licence.mcp_server_url)
        former = self._usable(key, instead_of)
        if former is not None and await _hold(licence, former.endpoint.url):
            await _tell_news(former, licence, on_stage)
            return former
        endpoint = await _ensure(licence, on_stage, fresh=instead_of is not None)
        lock = self._connecting.setdefault(key, asyncio.Lock())
        async with lock:
            kept = self._usable(key, former or instead_of)
            if kept is None:
                kept = await self._connect(endpoint) or await self._connect_anew(licence, on_stage)
                kept.told = workspace_news(licence)
                self._keep(key, kept)
            return kept

    @property
    def size(self) -> int:
        """How many connections there are."""
        return len(self._kept)

    async def close(self) -> None:
        """Close every connection."""
        await asyncio.gather(*(connection.close() for connection in list(self._kept.values())))

    def _usable(self, key: _Key, instead_of: Connection | None) -> Connection | None:
        kept = self._kept.get(key)
        return kept if kept is not None and kept.usable and kept is not instead_of else None

    def _keep(self, key: _Key, connection: Connection) -> None:
        former = self._kept.get(key)
        if former is not None:
            former.retire()
        self._kept[key] = connection

        def forget() -> None:
            if self._kept.get(key) is connection:
                del self._kept[key]

        connection.when_ended(forget)

    async def _connect(self, endpoint: Endpoint) -> Connection | None:
        """A connection to the endpoint; None when the user's workspace is not there any more. Raises CallFailed."""
        await asyncio.to_thread(tls_context)
        endpoint.token()  # a signing key that is missing is told here, not from inside the SDK's tasks
        connection = Connection(endpoint, idle_s=self._idle_s)
        try:
            await connection.opened()
        except CallFailed as error:
            if error.reason in _STALE:
                return None
            raise
        return connection

    async def _connect_anew(self, licence: Licence, on_stage: OnStage) -> Connection:
        connection = Connection(await _ensure(licence, on_stage, fresh=True), idle_s=self._idle_s)
        await connection.opened()
        return connection


async def _ensure(licence: Licence, on_stage: OnStage, *, fresh: bool) -> Endpoint:
    with _failures():
        return await ensure_workspace(licence, on_stage=on_stage, fresh=fresh)


async def _hold(licence: Licence, url: str) -> bool:
    with _failures():
        return await hold_workspace(licence, url)


async def _tell_news(connection: Connection, licence: Licence, on_stage: OnStage) -> None:
    """Tell the user what is new of the workspace, once on a connection; a new one tells it at its "ready"."""
    news = workspace_news(licence)
    if news != connection.told:
        connection.told = news
        if news:
            await on_stage(report_of("ready", detail=news))


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except WorkspaceFailed as error:
        raise AgentFailed("workspace_failed", error.message, retryable=error.cause not in _LASTING) from error


_pools: "WeakKeyDictionary[asyncio.AbstractEventLoop, Pool]" = WeakKeyDictionary()


def pool() -> Pool:
    """The running loop's pool."""
    return _pools.setdefault(asyncio.get_running_loop(), Pool())


async def close_pool() -> None:
    """Close the running loop's connections, if it has any."""
    kept = _pools.pop(asyncio.get_running_loop(), None)
    if kept is not None:
        await kept.close()
