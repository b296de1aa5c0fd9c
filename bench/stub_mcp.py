"""A stub of a user's MCP server for measurements: protocol 2026-07-28 over HTTP, for all users at once, in memory.

It answers what the gateway asks in a turn with what a workspace would: `server/discover` (and `initialize`, for a client of
the handshake era), `tools/list`, the resources `context://profile`, `context://preferences` and `conversation://{id}` with
the messages that were appended, and the tools `append_messages`, `get_conversation`, `set_summary` and the searches. Who
asks is the `sub` of the bearer token, whose signature is not checked: this server runs on loopback beside a measurement.
`GET /times` gives, and forgets, what was asked and when.
"""

import asyncio
import base64
import json
import socket
import time
from collections import deque
from typing import Any, cast

JSON = dict[str, Any]

VERSION = "2026-07-28"
# As a workspace's page has it; older messages are left out.
PAGE = 50
TIMES_KEPT = 10_000
OK, BAD_REQUEST, UNAUTHORIZED, NOT_FOUND = "200 OK", "400 Bad Request", "401 Unauthorized", "404 Not Found"
METHOD_NOT_FOUND, INVALID_PARAMS = -32601, -32602


def _tool(name: str, description: str, *, reads: bool = True, **properties: JSON) -> JSON:
    schema = {"type": "object", "additionalProperties": False, "properties": properties, "required": [*properties]}
    hints = {"readOnlyHint": reads, "idempotentHint": True, "destructiveHint": False, "openWorldHint": False}
    return {"name": name, "description": description, "inputSchema": schema, "annotations": hints}


_TEXT: JSON = {"type": "string"}
_COUNT: JSON = {"type": "integer", "minimum": 1, "maximum": 100}
TOOLS = [
    _tool("list_instruments", "List every instrument that has bars, with the first and the last date."),
    _tool("get_bars", "Read price bars of one instrument.", symbol=_TEXT, interval=_TEXT, start=_TEXT, end=_TEXT),
    _tool(
        "compute_indicators",
        "Compute indicators over bars.",
        symbol=_TEXT,
        indicators={"type": "array", "items": _TEXT},
    ),
    _tool("run_backtest", "Run a strategy over past bars.", reads=False, strategy=_TEXT, symbol=_TEXT),
    _tool("remember", "Keep a fact about the user.", reads=False, content=_TEXT),
    _tool("search_memory", "Search what was remembered.", query=_TEXT, limit=_COUNT),
    _tool("search_documents", "Search the user's documents.", query=_TEXT, limit=_COUNT),
    _tool("append_messages", "Store a turn.", reads=False, conversation=_TEXT, turn=_TEXT, messages={"type": "array"}),
    _tool("get_conversation", "Read a page of a conversation.", conversation=_TEXT, limit=_COUNT),
    _tool("set_summary", "Store a summary.", reads=False, conversation=_TEXT, text=_TEXT, until=_COUNT),
]
_CAPABILITIES: JSON = {"resources": {"listChanged": False}, "tools": {"listChanged": False}}
_SERVER: JSON = {"name": "stub-workspace", "version": "1"}


class Refused(Exception):
    """The request can't be answered; `code` is JSON-RPC's."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Workspaces:
    """What every user's stub holds: the messages of their conversations, by turn, so that an append is done once."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], dict[str, list[JSON]]] = {}

    def result(self, user: str, method: str, params: JSON) -> JSON:
        """The result of a request. Raises Refused."""
        if method == "server/discover":
            return {"supportedVersions": [VERSION], "capabilities": _CAPABILITIES, "instructions": ""}
        if method == "initialize":
            return {"protocolVersion": params["protocolVersion"], "capabilities": _CAPABILITIES, "serverInfo": _SERVER}
        if method == "tools/list":
            return {"tools": TOOLS}
        if method == "resources/read":
            text = json.dumps(self._resource(user, params["uri"]), separators=(",", ":"))
            return {"contents": [{"uri": params["uri"], "mimeType": "application/json", "text": text}]}
        if method == "tools/call":
            found = self._called(user, params["name"], params.get("arguments") or {})
            return {
                "content": [{"type": "text", "text": json.dumps(found)}],
                "structuredContent": found,
                "isError": False,
            }
        raise Refused(METHOD_NOT_FOUND, f"No method {method}.")

    def _resource(self, user: str, uri: str) -> JSON:
        if uri == "context://profile":
            return {"user": user, "tier": "enterprise", "memories": [], "memories_total": 0, "documents_total": 0}
        if uri == "context://preferences":
            return {"model": None, "language": None, "time_zone": None, "currency": None, "watchlist": None}
        if uri.startswith("conversation://"):
            conversation = uri.removeprefix("conversation://")
            return {"id": conversation, "title": "", "summary": None, **self._page(user, conversation)}
        raise Refused(INVALID_PARAMS, "There is no such resource.")

    def _called(self, user: str, name: str, arguments: JSON) -> JSON:
        if name == "append_messages":
            turns = self._kept.setdefault((user, arguments["conversation"]), {})
            stored = arguments["turn"] not in turns
            turns.setdefault(arguments["turn"], arguments["messages"])
            return {"turn": arguments["turn"], "stored": stored, "messages": len(arguments["messages"])}
        if name == "get_conversation":
            return self._page(user, arguments["conversation"])
        if name == "search_memory":
            return {"memories": [], "total": 0}
        if name == "search_documents":
            return {"passages": [], "total": 0}
        raise Refused(INVALID_PARAMS, f"This stub has no answer of {name}.")

    def _page(self, user: str, conversation: str) -> JSON:
        turns = self._kept.get((user, conversation), {})
        messages = [{**message, "turn": turn} for turn, each in turns.items() for message in each]
        older = len(messages) - PAGE
        return {"messages": messages[-PAGE:], "before": older if older > 0 else None, "last": len(messages)}


class McpConnection(asyncio.Protocol):
    """One HTTP/1.1 connection of a client, kept alive."""

    def __init__(self, workspaces: Workspaces, times: deque[tuple[str, float]]) -> None:
        self._workspaces, self._times = workspaces, times
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].decode("latin-1")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head.split("\r\n"))
            }
            whole = end + 4 + int(headers.get("content-length", 0))
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            self._transport.write(_http(*self._answer(head, headers, body)))

    def _answer(self, head: str, headers: dict[str, str], body: bytes) -> tuple[str, JSON | None]:
        if head.startswith("GET /times"):
            times = [*self._times]
            self._times.clear()
            return OK, {"times": times}
        if not head.startswith("POST /mcp"):
            return NOT_FOUND, None
        user = _user(headers.get("authorization", ""))
        if user is None:
            return UNAUTHORIZED, None
        try:
            request = json.loads(body)
            if "id" not in request:
                return "202 Accepted", None
            return OK, self._reply(user, request)
        except (ValueError, KeyError, TypeError):
            return BAD_REQUEST, None

    def _reply(self, user: str, request: JSON) -> JSON:
        method, params = request["method"], request.get("params") or {}
        self._times.append((f"{method} {params.get('uri') or params.get('name') or ''}".strip(), time.monotonic()))
        reply: JSON = {"jsonrpc": "2.0", "id": request["id"]}
        try:
            result = self._workspaces.result(user, method, params)
        except Refused as refused:
            return reply | {"error": {"code": refused.code, "message": str(refused)}}
        told = {"resultType": "complete", "cacheScope": "private", "ttlMs": 0}
        return reply | {"result": {**told, **result, "_meta": {"io.modelcontextprotocol/serverInfo": _SERVER}}}


def _http(status: str, body: JSON | None) -> bytes:
    content = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


def _user(authorization: str) -> str | None:
    try:
        claims = authorization.removeprefix("Bearer ").split(".")[1]
        return str(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"])
    except (IndexError, KeyError, ValueError):
        return None
