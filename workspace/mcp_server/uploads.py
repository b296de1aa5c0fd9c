"""Large requests one after the other: twenty at once, each read and parsed, would not fit into a small workspace."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# An imported CSV is the largest honest request; a conversation turn stays far below.
MAX_BODY_BYTES = 4 * 1024 * 1024

# The largest source of a strategy, however its JSON is written, passes: what it asks for may take a minute. 256 connections
# with so much each are 32 MB.
SMALL_BYTES = 128 * 1024

# Of a CSV of 3 MB parsing makes 40 MB; a free workspace has so much beside its sandbox.
AT_ONCE: Mapping[str, int] = {"free": 1, "pro": 2, "enterprise": 4}

# Clients give up after half a minute without a word.
PATIENCE_S = 20.0
RETRY_S = 5
# Of the codes that JSON-RPC leaves to servers; its clients then show the message.
BUSY = -32000
# A client that has gone without saying so holds its place no longer.
STALLED_S = 30.0


class Uploads:
    """Lets so many large requests in at once, from the first byte of their body to the last of their answer.

    The others wait unread: the connection holds 64 KiB of each. One that waited for `patience_s` is told to come again.
    """

    def __init__(self, app: ASGIApp, *, at_once: int, patience_s: float = PATIENCE_S) -> None:
        self._app = app
        self._places = asyncio.Semaphore(at_once)
        self._patience_s = patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_large(scope):
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._patience_s):
                await self._places.acquire()
        except TimeoutError:
            await _refuse(receive, send)
            return
        try:
            await self._app(scope, _Body(receive), send)
        finally:
            self._places.release()


class _Body:
    """The request's messages; a body that stands still ends as if its client had left."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._whole = False

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()
        message: Message = {"type": "http.disconnect"}
        with suppress(TimeoutError):
            async with asyncio.timeout(STALLED_S):
                message = await self._receive()
        self._whole = not message.get("more_body", False)
        return message


def _is_large(scope: Scope) -> bool:
    """One that doesn't say how long it is may be of any length."""
    if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "DELETE", "OPTIONS"):
        return False
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    return len(lengths) != 1 or not lengths[0].isdigit() or int(lengths[0]) > SMALL_BYTES


async def _refuse(receive: Receive, send: Send) -> None:
    """Read the body away first: a client that still writes when the connection closes may never see the answer."""
    body, left = _Body(receive), MAX_BODY_BYTES
    while left > 0 and (message := await body()).get("more_body", False):
        left -= len(message["body"])
    text = f"The workspace is busy with other large requests, nothing was changed. Call again in {RETRY_S} seconds."
    error = {"code": BUSY, "message": text, "data": {"retryable": True, "retry_after_s": RETRY_S}}
    answer = json.dumps({"jsonrpc": "2.0", "id": None, "error": error}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(answer)).encode()),
        (b"retry-after", str(RETRY_S).encode()),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
