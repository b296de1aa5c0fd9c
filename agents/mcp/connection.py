"""One kept MCP connection to one user's workspace.

A single task enters and leaves the SDK's client: its cancel scopes crash the process when they cross tasks. Requests come
from any task.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context
from typing import Any, TypeVar

import structlog
from mcp.client.client import Client
from mcp.client.session import ClientRequestContext, IncomingMessage
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED, ElicitRequestParams, ElicitResult, Implementation, ToolListChangedNotification
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from agents.mcp.errors import CallFailed, Reason
from agents.mcp.limits import HANDSHAKE_S, MOST_TOOLS, READ_S, RESPONSE_BYTES
from agents.mcp.patience import Patience
from agents.mcp.poster import posting
from agents.mcp.posts import Posts
from agents.mcp.tools import ToolSet, tool_set
from agents.mcp.wire import Exchange, exchange, http_client
from provisioning.endpoints import Endpoint

log = structlog.get_logger(__name__)

# It logs a whole traceback for each failed response; what it was about is in the CallFailed that comes of it.
logging.getLogger("mcp.client.streamable_http").setLevel(logging.CRITICAL)

T = TypeVar("T")
# What sends a request: by the SDK's client, or straight where the server's protocol allows it.
Send = Callable[[Client, Posts | None], Awaitable[T]]

_CLIENT_INFO = Implementation(name="dexorder-gateway", version="1")

_MESSAGES = {
    Reason.UNREACHABLE: "The workspace can't be reached.",
    Reason.DENIED: "The workspace refused this service's credentials.",
    Reason.BROKEN: "The connection to the workspace broke off before it answered.",
    Reason.TOO_LARGE: "The workspace's answer is too large. Ask for less at a time.",
}


class Connection:
    """A client in its owner task, which ends once nobody has used it for `idle_s` seconds."""

    def __init__(self, endpoint: Endpoint, *, idle_s: float) -> None:
        self.endpoint = endpoint
        # What its user knows of the workspace beyond that it is ready.
        self.told = ""
        self._idle_s = idle_s
        self._loop = asyncio.get_running_loop()
        self._client: asyncio.Future[Client] = self._loop.create_future()
        self._changed = asyncio.Event()
        self._listing = asyncio.Lock()
        self._tools: ToolSet | None = None
        self._posts: Posts | None = None
        self._users = 0
        self._retired = False
        self._last_used = self._loop.time()
        self._seen = Exchange()
        # A context of its own: the connection outlives the turn that made it, and must not hold on to what is its.
        self._owner = asyncio.create_task(self._own(), name="mcp connection", context=Context())
        self._owner.add_done_callback(self._ended)

    @property
    def usable(self) -> bool:
        """Whether new requests may be sent on it."""
        return not self._retired and not self._owner.done()

    def when_ended(self, callback: Callable[[], None]) -> None:
        """Call back once it is closed, for whatever reason."""
        self._owner.add_done_callback(lambda _owner: callback())

    async def opened(self) -> None:
        """Wait until client and server have agreed on the protocol. Raises CallFailed; then the connection is closed."""
        try:
            either: set[asyncio.Future[Any]] = {self._client, self._owner}
            with self._in_use():
                await asyncio.wait(either, timeout=HANDSHAKE_S, return_when=asyncio.FIRST_COMPLETED)
            if not self._client.done():
                raise _failure(self._seen, Reason.UNREACHABLE)
        finally:
            if not self._client.done():
                await self.close()

    def retire(self) -> None:
        """Take no new requests; close when those in flight have ended."""
        self._retired = True
        self._changed.set()

    async def close(self) -> None:
        """Close now. Requests in flight fail with BROKEN."""
        self._retired = True
        self._owner.cancel()
        await asyncio.wait({self._owner})

    async def request(self, send: Send[T], *, patience: Patience) -> T:
        """Send one request and wait as long as `patience` lasts. Cancelling it tells the server to stop. Raises CallFailed."""
        if self._owner.done():
            raise _failure(Exchange(), Reason.BROKEN)
        seen = Exchange()
        token = exchange.set(seen)
        try:
            with self._in_use():
                async with patience.bounded():
                    return await send(self._client.result(), self._posts)
        except TimeoutError as error:
            raise CallFailed(Reason.TIMEOUT, patience.verdict) from error
        except MCPError as error:
            closed = error.code == CONNECTION_CLOSED
            raise _failure(seen, Reason.BROKEN if closed else Reason.REFUSED, error.message) from error
        except (RuntimeError, ValidationError) as error:
            raise CallFailed(Reason.REFUSED, "The workspace's answer is not in the form it promised.") from error
        finally:
            exchange.reset(token)

    async def tools(self) -> ToolSet:
        """The server's tools, listed once and again after it says that they changed. Raises CallFailed."""
        with self._in_use():
            return await self._listed()

    async def _listed(self) -> ToolSet:
        async with self._listing:
            if self._tools is None:
                self._tools = await self.request(_list_tools, patience=Patience(READ_S))
            return self._tools

    async def _own(self) -> None:
        exchange.set(self._seen)
        async with http_client(self.endpoint.token) as http:
            transport = streamable_http_client(self.endpoint.url, http_client=http, max_sse_event_size=RESPONSE_BYTES)
            client = Client(
                transport,
                cache=None,
                client_info=_CLIENT_INFO,
                message_handler=self._on_message,
                # Says that the client can be asked. What asks in the way of 2026-07-28 never comes here: see Session.call_tool.
                elicitation_callback=_decline,
            )
            async with client, posting(self.endpoint.url, self.endpoint.token) as poster:
                if (version := client.protocol_version) in MODERN_PROTOCOL_VERSIONS:
                    self._posts = Posts(poster, version=version, client=_CLIENT_INFO, heard=self._on_notification)
                self._client.set_result(client)
                await self._until_unused()

    async def _until_unused(self) -> None:
        while self._users or not (self._retired or self._idle_left_s() <= 0):
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if self._users else self._idle_left_s()):
                    await self._changed.wait()
        self._retired = True

    def _idle_left_s(self) -> float:
        return self._last_used + self._idle_s - self._loop.time()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            self._last_used = self._loop.time()
            if not self._users:
                self._changed.set()

    async def _on_message(self, message: IncomingMessage) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._tools = None

    def _on_notification(self, method: str) -> None:
        if method == "notifications/tools/list_changed":
            self._tools = None

    def _ended(self, owner: "asyncio.Task[None]") -> None:
        self._retired = True
        error = None if owner.cancelled() else owner.exception()
        if error is not None:
            log.warning("mcp_connection_ended", kind=type(error).__name__, opened=self._client.done())


async def _decline(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:  # noqa: ARG001 - the SDK's signature
    """A server of an older protocol waits for the answer while the call runs, which may be a user's half hour."""
    return ElicitResult(action="decline")


async def _list_tools(client: Client, _posts: Posts | None) -> ToolSet:
    found = []
    cursor: str | None = None
    while True:
        page = await client.list_tools(cursor=cursor)
        found += page.tools
        cursor = page.next_cursor
        if cursor is None or len(found) >= MOST_TOOLS:
            # A tenth of a second for a listing that no other connection has brought: not on the loop.
            return await asyncio.to_thread(tool_set, found[:MOST_TOOLS])


def _failure(seen: Exchange, otherwise: Reason, message: str = "") -> CallFailed:
    """What the wire knows goes before what the SDK says of it, which is a stand-in text."""
    reason = seen.failure or (Reason.DENIED if seen.status in {401, 403} else otherwise)
    return CallFailed(reason, _MESSAGES.get(reason) or message)
