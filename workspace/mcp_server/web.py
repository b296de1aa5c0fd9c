"""The HTTP side: who may reach what, on which port."""

from __future__ import annotations

import json
import logging
from typing import Any

from mcp.server.mcpserver import MCPServer
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_server.activity import Activity
from mcp_server.tokens import TokenRefused, Verifier
from mcp_server.uploads import MAX_BODY_BYTES

logger = logging.getLogger(__name__)


def mcp_app(server: MCPServer[Any], *, host: str) -> ASGIApp:
    """The server's streamable HTTP app at `/mcp`: no sessions, and answers as event streams, so that progress arrives.

    On a loopback `host` the SDK also refuses foreign Host and Origin headers.
    """
    return server.streamable_http_app(stateless_http=True, max_request_body_size=MAX_BODY_BYTES, host=host)


class TokenGuard:
    """Lets requests with a valid gateway token pass; all others get the same 401, whatever was wrong.

    The token opens a request: one that has begun goes on after the token's end.
    """

    def __init__(self, app: ASGIApp, verifier: Verifier) -> None:
        self._app = app
        self._verifier = verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._verifier.check(_bearer_token(scope))
        except TokenRefused as refusal:
            logger.info("Refused a request: %s", refusal)
            body = {
                "error": {"code": "unauthorized", "message": "A valid gateway token for this workspace is required."}
            }
            await _answer(send, 401, body, headers=[(b"www-authenticate", b'Bearer realm="dexorder-workspace"')])
        else:
            await self._app(scope, receive, send)


class WorkspaceApp:
    """Sends each request to its place.

    `/healthz` is open, `/activity` stands alone on the loopback port `activity_port`, everything else needs a token.
    """

    def __init__(self, mcp: ASGIApp, *, verifier: Verifier, activity: Activity, activity_port: int) -> None:
        self._mcp = mcp
        self._guarded = TokenGuard(mcp, verifier)
        self._activity = activity
        self._activity_port = activity_port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._mcp(scope, receive, send)
            return
        # Blanks around a value are no part of it (RFC 9110, 5.5), but httptools leaves those behind it.
        scope["headers"] = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
        # The address of the socket that took the connection, which no header of the request can change.
        if scope["server"][1] == self._activity_port:
            await self._private(scope, send)
        elif scope["path"] == "/healthz":
            await _tell(scope, send, {"status": "ok"})
        else:
            await self._guarded(scope, receive, send)

    async def _private(self, scope: Scope, send: Send) -> None:
        if scope["path"] == "/activity":
            await _tell(scope, send, self._activity.report())
        else:
            await _answer(send, 404, {"error": {"code": "not_found", "message": "Only /activity is here."}})


def _bearer_token(scope: Scope) -> str:
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(values) != 1:
        raise TokenRefused("no single Authorization header")
    scheme, _, token = values[0].partition(b" ")
    if scheme.lower() != b"bearer" or not token.isascii():
        raise TokenRefused("not a bearer token")
    text: str = token.strip().decode("ascii")
    return text


async def _tell(scope: Scope, send: Send, body: dict[str, Any]) -> None:
    """Answer a GET, and HEAD, whose body uvicorn leaves out."""
    if scope["method"] in ("GET", "HEAD"):
        await _answer(send, 200, body)
    else:
        error = {"error": {"code": "method_not_allowed", "message": "This can only be read."}}
        await _answer(send, 405, error, headers=[(b"allow", b"GET, HEAD")])


async def _answer(
    send: Send, status: int, body: dict[str, Any], *, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    payload = json.dumps(body).encode()
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(payload)).encode()), *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": payload})
