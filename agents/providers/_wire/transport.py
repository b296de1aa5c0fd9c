"""The HTTP client that a vendor's package is given, for those that parse their streams well enough themselves."""

from collections.abc import AsyncIterator

import aiohttp
import httpx2

from agents.providers._http import READ_S, TIMEOUTS
from agents.providers._wire.joins import Join
from agents.providers._wire.session import Session, httpx2_errors, joined_events

# What aiohttp has undone already.
_UNDONE = frozenset({b"content-encoding", b"content-length", b"transfer-encoding", b"connection"})


def http_client(join: Join) -> httpx2.AsyncClient:
    """A client whose event streams are joined by `join`."""
    return httpx2.AsyncClient(transport=StreamTransport(join), timeout=httpx2.Timeout(**TIMEOUTS), trust_env=False)


class StreamTransport(httpx2.AsyncBaseTransport):
    """Requests by a `Session`."""

    def __init__(self, join: Join) -> None:
        self._join, self._session = join, Session()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See httpx2.AsyncBaseTransport."""
        read_s = request.extensions.get("timeout", {}).get("read") or READ_S
        answer = await self._session.send(request, await request.aread(), read_s=read_s)
        join = self._join if answer.status == 200 and answer.content_type == "text/event-stream" else None
        headers = [pair for pair in answer.raw_headers if pair[0].lower() not in _UNDONE]
        return httpx2.Response(answer.status, headers=headers, stream=_Body(answer, request, join), request=request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()


class _Body(httpx2.AsyncByteStream):
    """A body as it comes; with a join, its events in fewer."""

    def __init__(self, answer: aiohttp.ClientResponse, request: httpx2.Request, join: Join | None) -> None:
        self._answer, self._request, self._join = answer, request, join

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._join is not None:
            async for event in joined_events(self._answer, self._request, self._join):
                yield event.data()
            return
        with httpx2_errors(self._request):
            async for data in self._answer.content.iter_any():
                yield data

    async def aclose(self) -> None:
        # Not `release`: an answer that is given up in the middle would be read to its end, and paid for.
        self._answer.close()
