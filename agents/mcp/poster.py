"""POST to a workspace by aiohttp, which parses in C; the rules of wire.py hold here, too.

A whole request by httpx2 takes 1.0 ms of processor time, by aiohttp 0.5.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from yarl import URL

from agents.mcp.errors import Reason
from agents.mcp.limits import CONNECT_S, RESPONSE_BYTES
from agents.mcp.wire import Exchange, exchange, tls_context

# As the SDK's client on the same workspace has it, see wire.py.
_CONNECTIONS = 64
_KEEPALIVE_S = 60.0
# Each call has its own deadline.
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)


class PostFailed(Exception):
    """There is no answer; the call's exchange says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    content_type: str
    text: str


class Poster:
    """Connections to one workspace, its user's alone. It belongs to the event loop in which it is made."""

    def __init__(self, url: str, token: Callable[[], str]) -> None:
        self._url, self._token = URL(url, encoded=True), token
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS, keepalive_timeout=_KEEPALIVE_S, ssl=tls_context()),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Compressed bytes would slip past the count.
            auto_decompress=False,
            headers={"Accept-Encoding": "identity", "Content-Type": "application/json"},
            timeout=_TIMEOUT,
            trust_env=False,
        )

    async def post(self, content: bytes, headers: Mapping[str, str]) -> Answer:
        """Send, and read the answer. Raises PostFailed, with the reason in the call's exchange."""
        seen = exchange.get() or Exchange()
        try:
            async with self._session.post(
                self._url,
                data=content,
                headers={**headers, "Authorization": f"Bearer {self._token()}"},
                # A redirect could take the token elsewhere.
                allow_redirects=False,
            ) as answer:
                seen.status = answer.status
                return Answer(answer.status, answer.content_type, await _text(answer, seen))
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
            raise _failed(seen, Reason.UNREACHABLE) from error
        except (aiohttp.ClientError, aiohttp.http.HttpProcessingError) as error:
            raise _failed(seen, Reason.BROKEN) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


@asynccontextmanager
async def posting(url: str, token: Callable[[], str]) -> AsyncIterator[Poster]:
    """A poster for the time of the block."""
    poster = Poster(url, token)
    try:
        yield poster
    finally:
        await poster.close()


async def _text(answer: aiohttp.ClientResponse, seen: Exchange) -> str:
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise _failed(seen, Reason.BROKEN)
    body = bytearray()
    async for part in answer.content.iter_any():
        body += part
        if len(body) > RESPONSE_BYTES:
            raise _failed(seen, Reason.TOO_LARGE)
    return body.decode("utf-8", "replace")


def _failed(seen: Exchange, reason: Reason) -> PostFailed:
    seen.failure = reason
    return PostFailed(reason.value)
