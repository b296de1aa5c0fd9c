"""The HTTP client that the vendors' packages are given: aiohttp below, httpx2 above, streams coalesced and paced.

aiohttp parses in C and gives all the bytes of a read, where httpcore gives one HTTP chunk (one token) at a time.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import aiohttp
import httpx2
from yarl import URL

from agents.providers._http import CONNECT_S, MAX_CONNECTIONS, TIMEOUTS
from agents.providers._wire.joins import Join
from agents.providers._wire.pacing import Pace
from agents.providers._wire.sse import Coalescer

# Idle connections are closed after so many seconds: vendors close theirs after a minute or more.
KEEPALIVE_S = 30.0

# What aiohttp has undone already, or does for itself.
_NOT_PASSED_ON = frozenset({b"content-encoding", b"content-length", b"transfer-encoding", b"connection"})


def http_client(join: Join) -> httpx2.AsyncClient:
    """A client for one provider whose streams are joined by `join`."""
    return httpx2.AsyncClient(transport=StreamTransport(join), timeout=httpx2.Timeout(**TIMEOUTS), trust_env=False)


class StreamTransport(httpx2.AsyncBaseTransport):
    """Requests by aiohttp. Its connections belong to the event loop of the first request."""

    def __init__(self, join: Join) -> None:
        self._join = join
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See httpx2.AsyncBaseTransport; raises its errors, never aiohttp's."""
        body = await request.aread()
        with _errors(request):
            answer = await self._opened().request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=_headers(request),
                data=body,
                allow_redirects=False,
                timeout=_timeout(request),
            )
        streams = answer.status == 200 and answer.content_type == "text/event-stream"
        stream = _Events(answer, request, self._join) if streams else _Body(answer, request)
        headers = [pair for pair in answer.raw_headers if pair[0].lower() not in _NOT_PASSED_ON]
        return httpx2.Response(answer.status, headers=headers, stream=stream, request=request)

    async def aclose(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=MAX_CONNECTIONS, keepalive_timeout=KEEPALIVE_S, ssl=_tls(), happy_eyeballs_delay=0.25
            )
            # trust_env: the proxy that the environment names, as every other client would use it.
            self._session = aiohttp.ClientSession(
                connector=connector,
                trust_env=True,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            )
        return self._session


class _Body(httpx2.AsyncByteStream):
    """A body as it comes."""

    def __init__(self, answer: aiohttp.ClientResponse, request: httpx2.Request) -> None:
        self._answer, self._request = answer, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors(self._request):
            async for data in self._answer.content.iter_any():
                yield data

    async def aclose(self) -> None:
        # Not `release`: an answer that is given up in the middle would be read to its end, and paid for.
        self._answer.close()


class _Events(_Body):
    """An answer's events, joined and paced."""

    def __init__(self, answer: aiohttp.ClientResponse, request: httpx2.Request, join: Join) -> None:
        super().__init__(answer, request)
        self._join = join

    async def __aiter__(self) -> AsyncIterator[bytes]:
        events, pace = Coalescer(self._join), Pace(self._answer.content)
        with _errors(self._request):
            async for data in pace.reads():
                if joined := events.feed(data):
                    pace.begin()
                    yield joined
        if rest := events.end():
            yield rest


@cache
def _tls() -> ssl.SSLContext:
    """One for all: making one takes 80 ms."""
    return httpx2.create_ssl_context()


def _headers(request: httpx2.Request) -> list[tuple[str, str]]:
    # Compressed, a stream's tokens would wait for a full block.
    own = {"accept-encoding", "connection", "content-length", "transfer-encoding"}
    kept = [(name, value) for name, value in request.headers.items() if name not in own]
    return [*kept, ("accept-encoding", "identity")]


def _timeout(request: httpx2.Request) -> aiohttp.ClientTimeout:
    seconds: dict[str, Any] = request.extensions.get("timeout", {})
    return aiohttp.ClientTimeout(
        total=None,
        connect=seconds.get("pool"),
        sock_connect=seconds.get("connect", CONNECT_S),
        sock_read=seconds.get("read"),
    )


@contextmanager
def _errors(request: httpx2.Request) -> Iterator[None]:
    """aiohttp's errors as httpx2's."""
    try:
        yield
    except (aiohttp.ConnectionTimeoutError, aiohttp.SocketTimeoutError, asyncio.TimeoutError) as error:
        kind = httpx2.ConnectTimeout if isinstance(error, aiohttp.ConnectionTimeoutError) else httpx2.ReadTimeout
        raise kind("timed out", request=request) from error
    except aiohttp.ClientConnectionError as error:
        connecting = isinstance(error, aiohttp.ClientConnectorError)
        kind = httpx2.ConnectError if connecting else httpx2.RemoteProtocolError
        raise kind("connection failed", request=request) from error
    except (aiohttp.ClientError, aiohttp.http.HttpProcessingError) as error:
        raise httpx2.RemoteProtocolError("broken answer", request=request) from error
