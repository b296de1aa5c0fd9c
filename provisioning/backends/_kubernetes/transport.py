"""Requests to the API server: one place for deadlines, tries again, errors and the count of calls."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
import structlog

from provisioning import metrics
from provisioning.backends._kubernetes.errors import ApiFailed, Away, Conflict, Gone, Missing, Refused
from provisioning.backends._kubernetes.resting import Rest
from provisioning.backends._kubernetes.templates import Tree

if TYPE_CHECKING:
    from provisioning.backends._kubernetes.access import Access

# A healthy API server answers within milliseconds; a page of a list takes longer.
ANSWER_TIMEOUT_S = 10.0
# All tries of one call together.
PATIENCE_S = 20.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 3.0
# Whoever asks for longer, as a proxy may for its own reasons, is asked again after this.
LONGEST_REST_S = 300.0
OVERLOADED, UNKNOWN = 429, 401
INVALID = 422
# A real API server sends a bookmark about every minute, but none for a kind of which it keeps no cache, as events:
# https://kubernetes.io/docs/reference/using-api/api-concepts/#watch-bookmarks
# https://github.com/kubernetes/kubernetes/issues/131897
SILENT_S = 90.0

_ERRORS: dict[int, type[ApiFailed]] = {404: Missing, 409: Conflict, 410: Gone}
_BROKEN = (aiohttp.ClientError, TimeoutError, OSError)

Query = Mapping[str, str | int | bool]

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Request:
    """One request. Every one here may be repeated: it says what shall be, not what to change."""

    verb: str
    path: str
    plural: str
    name: str = ""
    method: str = "GET"
    query: Query = field(default_factory=dict)
    content_type: str = "application/json"
    body: Tree | None = None

    @property
    def about(self) -> str:
        """What it is about, for the log and the operator."""
        return f"{self.verb} {self.plural} {self.name}".rstrip()


class Transport:
    """Sends requests by the client's connections and credentials, on raw JSON.

    The client's typed models take fifteen times as long to read (1,000 pods: 0.70 s against 0.045 s).
    """

    def __init__(self, access: "Access") -> None:
        self._access = access
        self._rest = Rest()

    async def close(self) -> None:
        """Close the connections."""
        await self._access.close()

    async def call(self, request: Request) -> Tree:
        """The answer. What overload, a fault of the server or a broken connection hinders is tried again for a while.

        Raises Away after that, and at once where the server asks for longer; at once too Conflict, Missing, Gone and Refused.
        """
        until, pause_s = time.monotonic() + PATIENCE_S, FIRST_PAUSE_S
        while True:
            try:
                return await self._answer(request)
            except Away as error:
                # Not all of those who wait in the same moment.
                spread = random.random()  # noqa: S311 - no secret
                wait_s = max(pause_s * (0.5 + spread), error.retry_after_s * (1 + spread / 4))
                if time.monotonic() + wait_s > until:
                    raise
                log.warning("kubernetes_call_again", about=request.about, error=error.message)
            await asyncio.sleep(wait_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def stream(self, request: Request, *, opened: Callable[[], None]) -> AsyncIterator[Tree]:
        """The answer's lines as they come, until the server ends it or has said nothing for a while.

        Silence may be a connection that is dead, or that nothing happens: only a new request can tell. `opened` is called when
        the server begins its answer. Raises Away when it does not.
        """
        try:
            response = await self._send(request, aiohttp.ClientTimeout(sock_read=SILENT_S))
            async with response, _dropped(response):
                if response.status != 200:
                    raise self._failed(request, response, await _json(response))
                opened()
                async for line in _until_silent(response):
                    yield json.loads(line)
        except (*_BROKEN, ValueError) as error:
            raise Away(_named(error), about=request.about) from error

    async def _answer(self, request: Request) -> Tree:
        try:
            response = await self._send(request, aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S))
            async with response:
                answer = await _json(response)
        except _BROKEN as error:
            raise Away(_named(error), about=request.about) from error
        if not 200 <= response.status <= 299:
            raise self._failed(request, response, answer)
        return answer

    def _failed(self, request: Request, response: aiohttp.ClientResponse, answer: Tree) -> ApiFailed:
        failure = _failure(request, response.status, answer, retry_after=response.headers.get("Retry-After", ""))
        self._rest.heed(failure)
        return failure

    async def _send(self, request: Request, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        """The beginning of the answer; what was sent with credentials that have ended is sent again with new ones.

        Raises Away, having sent nothing, while the server wants to be left alone.
        """
        self._rest.require_over(request.about)
        version = self._access.version
        response = await self._sent(request, timeout)
        if response.status == UNKNOWN and await self._access.renewed(since=version):
            response.release()
            return await self._sent(request, timeout)
        return response

    async def _sent(self, request: Request, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        client = self._access.client
        metrics.API_CALLS.labels(request.verb, request.plural).inc()
        method, url, headers, body, _ = await client.param_serialize(
            request.method,
            request.path,
            query_params=[(key, _worded(value)) for key, value in request.query.items()],
            header_params={"Accept": "application/json", "Content-Type": request.content_type},
            body=request.body,
            auth_settings=["BearerToken"],
        )
        send = client.rest_client.request
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            sent = await send(method, url, headers=headers, body=body, _request_timeout=timeout)  # type: ignore[no-untyped-call]
        response: aiohttp.ClientResponse = sent.response
        return response


@asynccontextmanager
async def _dropped(response: aiohttp.ClientResponse) -> AsyncIterator[None]:
    """Drop the connection of an answer that is not read to its end.

    Closing it would wait for the server's goodbye by TLS, for which nobody stays: the session knows of it no more.
    """
    try:
        yield
    finally:
        connection = response.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()


async def _until_silent(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for line in response.content:
            yield line
    except aiohttp.SocketTimeoutError:
        return


def _worded(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


async def _json(response: aiohttp.ClientResponse) -> Tree:
    """The body as a tree; {} when it is none, as that of a proxy in between."""
    try:
        answer = json.loads(await response.read())
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _failure(request: Request, status: int, answer: Tree, *, retry_after: str = "") -> ApiFailed:
    message, reason = str(answer.get("message") or f"it answered {status}"), str(answer.get("reason") or "")
    if status == OVERLOADED or status >= 500:
        return Away(message, about=request.about, status=status, retry_after_s=_asked_s(retry_after, answer))
    if status == INVALID and _is_another(answer):
        return Conflict(message, about=request.about, status=status, reason=reason)
    return _ERRORS.get(status, Refused)(message, about=request.about, status=status, reason=reason)


def _is_another(answer: Tree) -> bool:
    """Whether a patch was refused for its uid, which is no precondition of one: it says that of another object of that name.

    https://github.com/kubernetes/kubernetes/blob/v1.34.0/staging/src/k8s.io/apimachinery/pkg/api/validation/objectmeta.go
    """
    causes = (answer.get("details") or {}).get("causes") or []
    return any(cause.get("field") == "metadata.uid" for cause in causes)


def failure_of_event(request: Request, status: Tree) -> ApiFailed:
    """The failure that a watch tells in place of an object."""
    return _failure(request, int(status.get("code") or 500), status)


def _asked_s(header: str, answer: Tree) -> float:
    """For how long the server asks to be left alone: by its header, or in what a watch is told in place of an object."""
    told = header or str((answer.get("details") or {}).get("retryAfterSeconds", ""))
    return min(float(told), LONGEST_REST_S) if told.isascii() and told.isdecimal() else 0.0


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
