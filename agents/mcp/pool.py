"""Connections to workspaces: one kept for each active user, made again when it is gone."""

import asyncio
from collections import defaultdict
from weakref import WeakKeyDictionary

from accounts.licences import Licence
from agents.errors import AgentFailed
from agents.harness_types import ignore_stage
from agents.mcp.connection import Connection
from agents.mcp.errors import CallFailed, Reason
from agents.mcp.session import Session
from agents.mcp.wire import tls_context
from provisioning.endpoints import Endpoint
from provisioning.errors import Cause, WorkspaceFailed
from provisioning.stages import OnStage
from provisioning.workspaces import ensure_workspace

# Seconds: long enough for a thoughtful pause in a talk, short enough that a thousand idle users hold no sockets.
IDLE_S = 300.0

# With these no other start of the workspace can go better, or the user has waited long enough.
_LASTING = {Cause.NEVER_READY, Cause.NOT_INSTALLED, Cause.NOT_ALLOWED, Cause.INVALID_USER}

# With these the workspace at this address is not the user's any more: it was stopped, or another's took its port.
_STALE = {Reason.UNREACHABLE, Reason.DENIED}


class Pool:
    """The connections of one event loop."""

    def __init__(self, *, idle_s: float = IDLE_S) -> None:
        self._idle_s = idle_s
        self._kept: dict[str, Connection] = {}
        self._connecting: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def session(self, licence: Licence, *, on_stage: OnStage = ignore_stage) -> Session:
        """The user's workspace for one turn; it is started when the first request needs it."""
        return Session(self, licence, on_stage)

    async def connection(
        self, licence: Licence, *, on_stage: OnStage, instead_of: Connection | None = None
    ) -> Connection:
        """A usable connection, other than `instead_of`, which was found broken.

        Raises AgentFailed when the workspace can't be started, CallFailed when it can't be reached.
        """
        kept = self._usable(licence.user_id)
        if kept is not None and kept is not instead_of:
            return kept
        endpoint = await _ensure(licence, on_stage, fresh=instead_of is not None)
        async with self._connecting[licence.user_id]:
            kept = self._usable(licence.user_id)
            if kept is not None and kept is not instead_of:
                return kept
            return await self._connect(licence, endpoint, on_stage)

    async def close(self) -> None:
        """Close every connection."""
        kept, self._kept = list(self._kept.values()), {}
        await asyncio.gather(*(connection.close() for connection in kept))

    def _usable(self, user_id: str) -> Connection | None:
        kept = self._kept.get(user_id)
        return kept if kept is not None and kept.usable else None

    async def _connect(self, licence: Licence, endpoint: Endpoint, on_stage: OnStage) -> Connection:
        await asyncio.to_thread(tls_context)
        endpoint.token()  # a signing key that is missing is told here, not from inside the SDK's tasks
        former = self._kept.pop(licence.user_id, None)
        if former is not None:
            former.retire()
        connection = Connection(endpoint, idle_s=self._idle_s)
        try:
            await connection.opened()
        except CallFailed as error:
            if error.reason not in _STALE:
                raise
            connection = Connection(await _ensure(licence, on_stage, fresh=True), idle_s=self._idle_s)
            await connection.opened()
        self._kept[licence.user_id] = connection
        return connection


async def _ensure(licence: Licence, on_stage: OnStage, *, fresh: bool) -> Endpoint:
    try:
        return await ensure_workspace(licence, on_stage=on_stage, fresh=fresh)
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
