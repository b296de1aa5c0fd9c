"""HTTP to a vendor, by aiohttp, with httpx2's errors.

aiohttp parses in C and gives all the bytes of a read, where httpcore gives one HTTP chunk (one token) at a time.
"""

import ssl
import urllib.request
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from functools import cache

import aiohttp
import httpx2
from yarl import URL

from agents.providers._http import CONNECT_S, MAX_CONNECTIONS, POOL_S, READ_S
from agents.providers._wire.joins import Join
from agents.providers._wire.pacing import Pace
from agents.providers._wire.sse import Coalescer, Event

# Seconds. Vendors close their idle connections after a minute or more.
KEEPALIVE_S = 30.0

# Of what a server says about an error, as much as tells one error from another.
MOST_ERROR_BYTES = 64 * 1024

Headers = list[tuple[str, str]]


class Session:
    """The connections to one provider. They belong to the event loop of the first request."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: httpx2.Request, body: bytes, *, read_s: float = READ_S) -> aiohttp.ClientResponse:
        """The answer to a request once its head is there. `read_s` = seconds without a byte. Raises httpx2.HTTPError."""
        url = URL(str(request.url), encoded=True)
        with httpx2_errors(request):
            return await self._opened().request(
                request.method,
                url,
                proxy=_proxy(url.scheme, url.host or ""),
                headers=_headers(request),
                data=body,
                # A redirect could take the key elsewhere.
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(connect=POOL_S + CONNECT_S, sock_connect=CONNECT_S, sock_read=read_s),
            )

    async def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=KEEPALIVE_S, ssl=_tls()),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
                # It would look for a proxy, and in ~/.netrc, at each request, in a thread.
                trust_env=False,
            )
        return self._session


@cache
def _proxy(scheme: str, host: str) -> URL | None:
    """The proxy that the environment names for a vendor."""
    named = urllib.request.getproxies().get(scheme)
    return None if named is None or urllib.request.proxy_bypass(host) else URL(named)


async def joined_events(
    answer: aiohttp.ClientResponse, request: httpx2.Request, join: Join
) -> AsyncGenerator[Event, None]:
    """The answer's events, joined and paced. Raises httpx2.HTTPError when it breaks off, EventTooLarge."""
    coalescer, pace = Coalescer(join), Pace(answer.content)
    with httpx2_errors(request):
        async for data in pace.reads():
            for event in coalescer.feed(data):
                pace.begin()
                yield event
    for event in coalescer.end():
        yield event


async def error_body(answer: aiohttp.ClientResponse, request: httpx2.Request) -> bytes:
    """The beginning of an answer that is an error. Its connection is closed."""
    with httpx2_errors(request):
        body = await answer.content.read(MOST_ERROR_BYTES)
    answer.close()
    return body


@contextmanager
def httpx2_errors(request: httpx2.Request) -> Iterator[None]:
    """aiohttp's errors as httpx2's, without the text of aiohttp's: it may hold addresses."""
    try:
        yield
    except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
        raise httpx2.ConnectError("can't connect", request=request) from error
    except TimeoutError as error:
        raise httpx2.ReadTimeout("timed out", request=request) from error
    except (aiohttp.ClientError, aiohttp.http.HttpProcessingError) as error:
        raise httpx2.RemoteProtocolError("the connection broke off", request=request) from error


@cache
def _tls() -> ssl.SSLContext:
    """One for all: making one takes 80 ms."""
    return httpx2.create_ssl_context()


def _headers(request: httpx2.Request) -> Headers:
    own = {"accept-encoding", "connection", "content-length", "transfer-encoding"}
    kept = [(name, value) for name, value in request.headers.items() if name not in own]
    # Compressed, a stream's tokens would wait for a full block.
    return [*kept, ("accept-encoding", "identity")]
