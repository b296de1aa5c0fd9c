"""Requests of protocol 2026-07-28 as what they are there: one POST each, and its answer.

The SDK passes every request through four tasks and as many queues, for protocols whose answers come on other streams: 2 ms of
processor time a request, four requests a turn. What needs none of that goes straight: resources, and calls of tools that the
gateway makes for itself, without progress. All else is the SDK's.
"""

import json
import re
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    encode_header_value,
)
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    PARSE_ERROR,
    PROTOCOL_VERSION_META_KEY,
    CallToolResult,
    Implementation,
    ReadResourceResult,
)

from agents.mcp.poster import Answer, Poster, PostFailed

JSON = dict[str, Any]
Heard = Callable[[str], None]

# These alone end a line; JSON may hold the others that str.splitlines knows (WHATWG HTML, 9.2.5 Parsing an event stream).
_LINE_END = re.compile("\r\n|\n|\r")


class Posts:
    """One server's requests; `heard` gets the names of the notifications that come with their answers.

    Each raises MCPError as the SDK's would, and pydantic.ValidationError for a result out of form.
    """

    def __init__(self, poster: Poster, *, version: str, client: Implementation, heard: Heard) -> None:
        self._poster, self._version, self._heard = poster, version, heard
        self._meta = {
            PROTOCOL_VERSION_META_KEY: version,
            CLIENT_INFO_META_KEY: client.model_dump(by_alias=True, mode="json", exclude_none=True),
            # It can't be asked anything: a tool that wants to know something first fails.
            CLIENT_CAPABILITIES_META_KEY: {},
        }
        # Apart from the SDK's own ids, which are numbers.
        self._ids = count(1)

    async def read_resource(self, uri: str) -> ReadResourceResult:
        """A resource."""
        return ReadResourceResult.model_validate(await self._ask("resources/read", {"uri": uri}, uri), by_name=False)

    async def call_tool(self, name: str, arguments: JSON) -> CallToolResult:
        """What a tool gives back."""
        found = await self._ask("tools/call", {"name": name, "arguments": arguments}, name)
        return CallToolResult.model_validate(found, by_name=False)

    async def _ask(self, method: str, params: JSON, name: str) -> JSON:
        asked = f"post-{next(self._ids)}"
        body = {"jsonrpc": "2.0", "id": asked, "method": method, "params": {**params, "_meta": self._meta}}
        headers = {
            "Accept": "application/json, text/event-stream",
            MCP_PROTOCOL_VERSION_HEADER: self._version,
            MCP_METHOD_HEADER: method,
            MCP_NAME_HEADER: encode_header_value(name),
        }
        try:
            answer = await self._poster.post(_written(body), headers)
        except PostFailed as error:
            raise MCPError(CONNECTION_CLOSED, "There was no answer.") from error
        for message in _messages(answer):
            if "method" in message:
                self._heard(str(message["method"]))
            # A request that was refused before its id was read is answered with none.
            elif message.get("id") in {asked, None}:
                return _answered(message)
        raise MCPError(INTERNAL_ERROR, "The server gave no answer.")


def _written(body: JSON) -> bytes:
    """Without escapes, which take twice the room of Chinese; half of a surrogate pair, which UTF-8 has not, is a `?`."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _messages(answer: Answer) -> Iterator[JSON]:
    """What an answer holds: one message of JSON, or a stream of them. Raises MCPError."""
    for text in _events(answer.text) if answer.content_type == "text/event-stream" else [answer.text]:
        try:
            message = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise MCPError(PARSE_ERROR, "The answer is no JSON.") from error
        if isinstance(message, dict):
            yield message


def _answered(message: JSON) -> JSON:
    result, error = message.get("result"), message.get("error")
    if isinstance(error, dict):
        code = error.get("code")
        raise MCPError(code if isinstance(code, int) else INTERNAL_ERROR, str(error.get("message")))
    if not isinstance(result, dict):
        raise MCPError(INTERNAL_ERROR, "The server gave no result.")
    return result


def _events(text: str) -> Iterator[str]:
    """The data of each event of a stream that has ended."""
    data: list[str] = []
    for line in [*_LINE_END.split(text.removeprefix("\ufeff")), ""]:
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data = []
