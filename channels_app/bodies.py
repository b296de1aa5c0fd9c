"""Bodies of requests: read whole before the application sees them, and never past 1 MiB, or what a file takes."""

import asyncio
import json
from dataclasses import dataclass

import structlog

from agents.uploads import MOST_BYTES
from channels_app.asgi_types import App, Message, Receive, Scope, Send
from gateway.ids import new_id

# A message has at most 32,000 characters, an update of Telegram's is a few KiB; files come by reference.
MAX_BODY_BYTES = 1024 * 1024
# A client sends its body at once; a socket that trickles is none.
BODY_WITHIN_S = 10.0
# A client that is still writing when the connection closes loses the answer (RFC 9112, 9.6): so much of a body is read and
# thrown away first.
MOST_DISCARDED_BYTES = 16 * 1024 * 1024
UPLOADS_PATH = "/api/v1/uploads"
# What a form adds to the file in it: the names, and a line between the parts.
FORM_BYTES = 16 * 1024
# A phone sends 50 KB a second where the network is bad.
UPLOAD_WITHIN_S = 60.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    code: str
    message: str


class Refused(Exception):
    """The request is answered without the application having seen it."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Gone(Exception):
    """The client went away before it had sent the body."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """How large a body may be, and how long it may take."""

    most_bytes: int = MAX_BODY_BYTES
    within_s: float = BODY_WITHIN_S
    too_large: Refusal = Refusal(413, "too_large", "The body is larger than 1 MiB.")


ANY = Allowance()
UPLOAD = Allowance(
    MOST_BYTES + FORM_BYTES,
    UPLOAD_WITHIN_S,
    Refusal(413, "too_large", f"A file has at most {MOST_BYTES:,} bytes."),
)
TOO_SLOW = Refusal(408, "timeout", "The body did not come in time.")


class BodyCap:
    """Give `app` requests with their whole body, and answer 413 to one with a larger body than is allowed."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        allowance = UPLOAD if scope["path"] == UPLOADS_PATH else ANY
        try:
            refuse_large(headers_of(scope), allowance)
            body = await read_body(receive, allowance)
        except Refused as refused:
            await turn_away(scope, receive, send, refused=refused.refusal)
        except Gone:
            log.info("client_gone")
        else:
            await self._app(whole(scope, body), replay(body, receive), send)


def refuse_large(headers: dict[str, str], allowance: Allowance = ANY) -> None:
    """Raise Refused for a body that is announced to be too large."""
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > allowance.most_bytes:
        raise Refused(allowance.too_large)


def headers_of(scope: Scope) -> dict[str, str]:
    """Names in lower case; a header that comes twice is joined, and thus no secret any more."""
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


async def read_body(receive: Receive, allowance: Allowance = ANY) -> bytes:
    """The whole body, of which never more than is allowed is kept."""
    chunks: list[bytes] = []
    left = allowance.most_bytes
    try:
        async with asyncio.timeout(allowance.within_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                chunk = message.get("body", b"")
                left -= len(chunk)
                if left < 0:
                    raise Refused(allowance.too_large)
                chunks.append(chunk)
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError:
        raise Refused(TOO_SLOW) from None


def whole(scope: Scope, body: bytes) -> Scope:
    """The scope of a request whose body is `body`, however it came: frameworks read no body that announces no length."""
    framing = {b"content-length", b"transfer-encoding"}
    headers = [(name, value) for name, value in scope["headers"] if name.lower() not in framing]
    if body:
        headers.append((b"content-length", str(len(body)).encode()))
    return {**scope, "headers": headers}


def replay(body: bytes, receive: Receive) -> Receive:
    """Give the body at once, then what comes after it."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


async def turn_away(scope: Scope, receive: Receive, send: Send, *, refused: Refusal) -> None:
    """Answer a request whose body was not taken; one that is too large once its client has written it."""
    if refused.status == 413:
        await _discard(receive, announced=headers_of(scope).get("content-length", "0"))
    await answer(send, refused)


async def _discard(receive: Receive, *, announced: str) -> None:
    """Throw away what is left of a body; not of one that nobody could wait for."""
    left = MOST_DISCARDED_BYTES
    if announced.isdecimal() and int(announced[:20]) > left:
        return
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            while left > 0:
                message = await receive()
                if not message.get("more_body", False):
                    return
                left -= len(message["body"])
    except TimeoutError:
        log.info("body_not_discarded")


async def answer(send: Send, refused: Refusal) -> None:
    """The refusal in the form of the API's."""
    request_id = new_id()
    log.info("request_refused", code=refused.code, request_id=request_id)
    body = json.dumps({"error": {"code": refused.code, "message": refused.message, "request_id": request_id}}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", request_id.encode()),
        # What is left of the body is not read any more.
        (b"connection", b"close"),
    ]
    if refused.status == 405:
        headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
