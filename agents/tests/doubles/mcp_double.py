"""An MCP server of protocol 2026-07-28 whose tool calls do what a test tells them, also what no SDK would do."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from agents.tests.doubles.http_server import Asked, Reply, ScriptedServer, answering_server, sse

JSON = dict[str, Any]
VERSION = "2026-07-28"


def tool(name: str, *, repeatable: bool = True, schema: JSON | None = None, description: str = "A tool.") -> JSON:
    """A tool as tools/list gives it."""
    return {
        "name": name,
        "description": description,
        "inputSchema": schema or {"type": "object", "properties": {}},
        "annotations": {"readOnlyHint": repeatable},
    }


def text(value: str, *, failed: bool = False) -> JSON:
    """A tool's result of one text."""
    return {"content": [{"type": "text", "text": value}], "isError": failed, "resultType": "complete"}


def result(asked: Asked, value: JSON) -> Reply:
    """A JSON-RPC result as one JSON body."""
    return Reply(body=json.dumps({"jsonrpc": "2.0", "id": asked.body["id"], "result": value}).encode())


def event(message: JSON) -> bytes:
    """A JSON-RPC message as a server-sent event."""
    return f"event: message\ndata: {json.dumps(message)}\n\n".encode()


def progress_then(asked: Asked, steps: list[JSON], value: JSON) -> Reply:
    """Progress notifications, then the result, as a stream."""
    token = asked.body["params"]["_meta"].get("progressToken", 0)
    notes = [
        event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, **step}})
        for step in steps
    ]
    return sse(*notes, event({"jsonrpc": "2.0", "id": asked.body["id"], "result": value}))


@dataclass
class McpDouble:
    """`call` answers tools/call, `instead` whatever comes in; `calls` are the names and arguments of the tool calls."""

    server: ScriptedServer
    tools: list[JSON]
    call: Callable[[Asked], Reply]
    calls: list[tuple[str, JSON]] = field(default_factory=list)
    instead: Callable[[Asked], Reply] | None = None

    @property
    def url(self) -> str:
        return f"{self.server.url}/mcp"

    def count(self, method: str) -> int:
        """How many requests of a method came in."""
        return sum(asked.body["method"] == method for asked in self.server.asked)

    def answer(self, asked: Asked) -> Reply:
        """The reply to any request."""
        if self.instead is not None:
            return self.instead(asked)
        method, cacheable = asked.body["method"], {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
        if method == "server/discover":
            capabilities = {"tools": {"listChanged": True}, "resources": {}}
            return result(asked, {"supportedVersions": [VERSION], "capabilities": capabilities, **cacheable})
        if method == "tools/list":
            return result(asked, {"tools": self.tools, **cacheable})
        if method == "tools/call":
            self.calls.append((asked.body["params"]["name"], asked.body["params"].get("arguments", {})))
            return self.call(asked)
        error = {"code": -32601, "message": "Method not found"}
        return Reply(404, json.dumps({"jsonrpc": "2.0", "id": asked.body["id"], "error": error}).encode())


@asynccontextmanager
async def mcp_double(*tools: JSON, call: Callable[[Asked], Reply] | None = None) -> AsyncIterator[McpDouble]:
    """A server with these tools (one named `look` when none is given), which answer "done" when nothing else is told."""

    def done(asked: Asked) -> Reply:
        return result(asked, text("done"))

    def answer(asked: Asked) -> Reply:
        return double.answer(asked)

    async with answering_server(answer) as server:
        double = McpDouble(server, list(tools) or [tool("look")], call or done)
        yield double
