"""The HTTP of a workspace connection: whose token goes out, how much may come in, what went wrong on the way."""

from collections.abc import AsyncIterator, Callable, Generator
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from ssl import SSLContext

import httpx2

from agents.mcp.errors import Reason
from agents.mcp.limits import CONNECT_S, RESPONSE_BYTES

# No read timeout: each call has its own deadline, and a tool may be silent while it works.
_TIMEOUT = httpx2.Timeout(connect=CONNECT_S, read=None, write=30.0, pool=CONNECT_S)

# One user's turns at once, each with a few calls in parallel.
_LIMITS = httpx2.Limits(max_connections=64, max_keepalive_connections=8, keepalive_expiry=60.0)


@dataclass(slots=True)
class Exchange:
    """What the wire saw during one call: how it failed and the last HTTP status."""

    failure: Reason | None = None
    status: int | None = None


# The SDK sends each request from a task that inherits the caller's context, so a call finds its own exchange here.
exchange: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


class TokenAuth(httpx2.Auth):
    """A fresh workspace token on every request: each lives a minute at most."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token()}"
        yield request


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Counts what comes in and keeps one request's failure from ending the connection for the others.

    The SDK lets a failed POST tear down its whole client, with every other call of the user on it: such a failure is
    noted in the call's exchange and answered with a 503 of our own.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        seen = exchange.get() or Exchange()
        try:
            response = await self._inner.handle_async_request(request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout):
            return _failed(seen, Reason.UNREACHABLE)
        except httpx2.TransportError:
            return _failed(seen, Reason.BROKEN)
        seen.status = response.status_code
        if response.headers.get("content-encoding", "identity") != "identity":
            # Compressed bytes would slip past the count; none was asked for.
            await response.aclose()
            return _failed(seen, Reason.BROKEN)
        assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101 - an async transport's always is
        response.stream = _CountedStream(response.stream, seen)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _CountedStream(httpx2.AsyncByteStream):
    """A response's bytes up to the limit; past it, or when the connection breaks, a StreamError, which the SDK handles."""

    def __init__(self, inner: httpx2.AsyncByteStream, seen: Exchange) -> None:
        self._inner = inner
        self._seen = seen

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        try:
            async for part in self._inner:
                received += len(part)
                if received > RESPONSE_BYTES:
                    self._seen.failure = Reason.TOO_LARGE
                    raise httpx2.StreamError("response over the limit")
                yield part
        except httpx2.TransportError as error:
            self._seen.failure = Reason.BROKEN
            raise httpx2.StreamError("connection broke") from error

    async def aclose(self) -> None:
        await self._inner.aclose()


def _failed(seen: Exchange, reason: Reason) -> httpx2.Response:
    seen.failure = reason
    return httpx2.Response(503)


@cache
def tls_context() -> SSLContext:
    """The process's one TLS context: making one costs about 80 ms, so call it first off the event loop."""
    return httpx2.create_ssl_context()


def http_client(token: Callable[[], str]) -> httpx2.AsyncClient:
    """An HTTP client for one workspace. It has its own sockets, so that closing it closes the user's and no others."""
    transport = httpx2.AsyncHTTPTransport(verify=tls_context(), limits=_LIMITS, trust_env=False)
    return httpx2.AsyncClient(
        transport=GuardedTransport(transport),
        auth=TokenAuth(token),
        headers={"Accept-Encoding": "identity"},
        timeout=_TIMEOUT,
        trust_env=False,
    )
