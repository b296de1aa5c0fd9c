"""HTTP to a platform: one client an event loop, and what a failure says of the message that was sent."""

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httpx

from channels_app.errors import ChatClosed, DeliveryError, TooLarge

CONNECT_S = 5.0
READ_S = 15.0
# A call may take this long, however slowly its answer drips in.
CALL_S = 30.0
CONNECTIONS = 32
MAX_ANSWER_BYTES = 1024 * 1024
MAX_CAUSE_CHARS = 200
# The request did not leave: there was no connection for it.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the server says that it was done."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body's value, None when it is no JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def retry_after_s(self) -> float | None:
        """The wait that the header Retry-After asks for in seconds."""
        value = self.headers.get("retry-after", "")
        return float(value) if _SECONDS.fullmatch(value) else None

    def refusal(self) -> DeliveryError:
        """What a status other than 2xx says by itself: 410 that the chat takes nothing more, 429 and 5xx that it may later."""
        words = f"status_{self.status}"
        if self.status == 410:
            return ChatClosed(words)
        if self.status == 429 or self.status >= 500:
            return DeliveryError(words, retry_after_s=self.retry_after_s())
        return DeliveryError(words, permanent=True)


class Http:
    """The clients of a channel. Nothing of an HTTP error but a cause in words leaves it: URLs may hold secrets."""

    def __init__(self) -> None:
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()

    async def request(self, method: str, url: str, *, headers: dict[str, str], content: bytes | None = None) -> Answer:
        """One request. Raises DeliveryError: ambiguous once the request may have arrived."""
        return await self._ask(method, url, headers=headers, content=content)

    async def fetch(self, url: str, *, headers: dict[str, str], most_bytes: int) -> Answer:
        """A file. Raises DeliveryError, and of it TooLarge."""
        answer = await self._ask("GET", url, headers=headers, most_bytes=most_bytes)
        if answer.status != 200:
            raise answer.refusal()
        return answer

    async def _ask(
        self,
        method: str,
        url: str,
        *,
        most_bytes: int = MAX_ANSWER_BYTES,
        headers: dict[str, str],
        content: bytes | None = None,
    ) -> Answer:
        client = await self._client()
        try:
            async with asyncio.timeout(CALL_S):
                async with client.stream(method, url, headers=headers, content=content) as response:
                    body = await _read(response, most_bytes)
        except _NOT_SENT as error:
            raise DeliveryError(f"not_connected ({type(error).__name__})") from None
        except (httpx.HTTPError, TimeoutError) as error:
            raise DeliveryError(f"no_answer ({type(error).__name__})", ambiguous=True) from None
        except (httpx.InvalidURL, ValueError) as error:
            raise DeliveryError(f"not_sent ({type(error).__name__})", permanent=True) from None
        return Answer(response.status_code, {name.lower(): value for name, value in response.headers.items()}, body)

    async def close(self) -> None:
        """Close the running loop's connections."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    async def _client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            # Off the loop, since making the TLS context takes tens of milliseconds.
            made = await asyncio.to_thread(_build)
            self._clients.setdefault(loop, made)
        return self._clients[loop]


def cause(code: str, words: object) -> str:
    """A code with a platform's own words, without what no log or column can hold."""
    text = "".join(character if character.isprintable() else " " for character in str(words or ""))
    return (f"{code}: {text}" if text else code)[:MAX_CAUSE_CHARS]


def own_address(url: str, hosts: tuple[str, ...], *, base: str = "") -> str:
    """An address that the platform told, if it is one of the platform's own: https on one of `hosts`, or as `base` begins.

    Raises DeliveryError for any other.
    """
    parts, own = urlsplit(url), urlsplit(base)
    is_theirs = parts.scheme == "https" and parts.netloc in hosts
    if is_theirs or (base and (parts.scheme, parts.netloc) == (own.scheme, own.netloc)):
        return url
    raise DeliveryError("address_of_another", permanent=True)


def _build() -> httpx.AsyncClient:
    timeout = httpx.Timeout(READ_S, connect=CONNECT_S, pool=CONNECT_S)
    return httpx.AsyncClient(timeout=timeout, limits=httpx.Limits(max_connections=CONNECTIONS), follow_redirects=False)


async def _read(response: httpx.Response, most_bytes: int) -> bytes:
    chunks: list[bytes] = []
    left = most_bytes
    async for chunk in response.aiter_bytes():
        left -= len(chunk)
        if left < 0:
            raise TooLarge
        chunks.append(chunk)
    return b"".join(chunks)
