"""What stands before the webhooks: a stranger's body is not read, and nobody's past 1 MiB."""

import asyncio
import json
from dataclasses import dataclass

import structlog

from channels_app import metrics
from channels_app.channels import Channel, channel_that_is_on, refuse_faults
from channels_app.webhooks.asgi import App, Message, Receive, Scope, Send
from channels_app.webhooks.view import FORGED, PREFIX, WebhookApplication
from gateway.ids import new_id

# An update of Telegram's is a few KiB; files come by reference.
MAX_BODY_BYTES = 1024 * 1024
# A platform sends its body at once; a socket that trickles is none.
BODY_WITHIN_S = 10.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Refusal:
    status: int
    code: str
    message: str


class _Refused(Exception):
    """The request is answered without the application having seen it."""

    def __init__(self, refusal: _Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class _Gone(Exception):
    """The client went away before it had sent the body."""


_MISSING = _Refusal(404, "not_found", "There is nothing here.")
_METHOD = _Refusal(405, "method_not_allowed", "A webhook is posted to.")
_STRANGER = _Refusal(401, "unauthorized", FORGED)
_TOO_LARGE = _Refusal(413, "too_large", "The body is larger than 1 MiB.")
_TOO_SLOW = _Refusal(408, "timeout", "The body did not come in time.")


class WebhookGuard:
    """Give `webhooks` what a platform may have sent, and `app` all other paths."""

    def __init__(self, app: App, *, webhooks: App | None = None) -> None:
        """Raises ImproperlyConfigured for a channel that is only half configured."""
        refuse_faults()
        self._app = app
        self._webhooks = webhooks or WebhookApplication()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        name = scope["path"].removeprefix(PREFIX)
        try:
            channel = _admitted(scope, name)
            body = await _body(receive)
        except _Refused as refused:
            label = name if channel_that_is_on(name) else "none"
            metrics.updates.labels(channel=label, outcome=refused.refusal.code).inc()
            await _answer(send, refused.refusal)
        except _Gone:
            metrics.updates.labels(channel=channel.name, outcome="gone").inc()
        else:
            await self._webhooks(scope, _replay(body, receive), send)


def _admitted(scope: Scope, name: str) -> Channel:
    """The channel that may read this request's body."""
    channel = channel_that_is_on(name)
    if channel is None:
        raise _Refused(_MISSING)
    if scope["method"] != "POST":
        raise _Refused(_METHOD)
    headers = _headers(scope)
    if not channel.admits(headers):
        raise _Refused(_STRANGER)
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > MAX_BODY_BYTES:
        raise _Refused(_TOO_LARGE)
    return channel


def _headers(scope: Scope) -> dict[str, str]:
    """Names in lower case; a header that comes twice is joined, and thus no secret any more."""
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


async def _body(receive: Receive) -> bytes:
    """The whole body, of which never more than 1 MiB is kept."""
    chunks: list[bytes] = []
    left = MAX_BODY_BYTES
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Gone
                chunk = message.get("body", b"")
                left -= len(chunk)
                if left < 0:
                    raise _Refused(_TOO_LARGE)
                chunks.append(chunk)
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError:
        raise _Refused(_TOO_SLOW) from None


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the body at once, then what comes after it."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


async def _answer(send: Send, refused: _Refusal) -> None:
    """The refusal in the form of the API's."""
    request_id = new_id()
    log.info("webhook_refused", code=refused.code, request_id=request_id)
    body = json.dumps({"error": {"code": refused.code, "message": refused.message, "request_id": request_id}}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", request_id.encode()),
        # What is left of the body is not read.
        (b"connection", b"close"),
    ]
    if refused.status == 405:
        headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
