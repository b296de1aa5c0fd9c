"""How a method becomes an MCP tool: strict arguments, truthful hints, JSON text beside the structured result."""

from __future__ import annotations

import base64
import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Self, cast

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, ImageContent, ResourceLink, TextContent, ToolAnnotations
from pydantic import BaseModel, PrivateAttr, ValidationError
from pydantic_core import ErrorDetails

from mcp_server.errors import WorkspaceError

READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
# What may ask an exchange for bars.
READS_OUTSIDE = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
ADDS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
ADDS_OUTSIDE = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
REPLACES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)

# A model corrects a handful at a time.
MOST_ERRORS = 5

BROKEN = (
    "Something in the workspace broke while it ran {tool}; the arguments are not to blame, and its log says what it was. "
    "Call once more. If that fails too, tell the user that it does not work just now."
)


class Linked(BaseModel):
    """A reply that points to resources, which a client gets beside the structured result."""

    def links(self) -> list[ResourceLink]:
        """The resources."""
        raise NotImplementedError


class Illustrated(BaseModel):
    """A reply with PNG pictures, which a client gets beside the structured result and not in it."""

    _pictures: tuple[bytes, ...] = PrivateAttr(default=())

    def with_picture(self, png: bytes) -> Self:
        """The reply with one more picture."""
        self._pictures = (*self._pictures, png)
        return self

    def pictures(self) -> tuple[bytes, ...]:
        return self._pictures


@dataclass(frozen=True, slots=True)
class Offer:
    """A method offered as a tool under its own name. It runs on a worker thread and returns a model."""

    call: Callable[..., BaseModel]
    title: str
    hints: ToolAnnotations
    # It has many bars in memory, or waits for jobs of a strategy: only so many such calls are in flight at once.
    heavy: bool = False


class StrictTool(Tool):
    """A tool that says in one line each what is wrong with its arguments; the SDK would pass pydantic's report on.

    A call with good arguments waits for a place before it gets a thread.
    """

    _place: Callable[[], AbstractAsyncContextManager[None]] = PrivateAttr(default=nullcontext)

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:
        truths = _truths_for_numbers(arguments, self.parameters)
        if truths:
            raise ToolError(
                f"Wrong arguments for {self.name}: {truths[0]}: Input should be a number, not true or false"
            )
        try:
            self.fn_metadata.validate_arguments(arguments)
        except ValidationError as error:
            raise ToolError(f"Wrong arguments for {self.name}: {explain(error, self.parameters)}") from error
        try:
            async with self._place():
                return await super().run(arguments, context, convert_result)
        except UnexpectedToolError as error:
            # The SDK logs it with what raised it, and tells the caller this text.
            raise UnexpectedToolError(BROKEN.format(tool=self.name)) from error
        except ToolError as error:
            # The SDK's prefix tells a model what it knows, and its caller twice.
            raise ToolError(str(error).removeprefix(f"Error executing tool {self.name}: ")) from error


def tool_of(
    offer: Offer,
    *,
    within: Callable[[], AbstractContextManager[None]] = nullcontext,
    place: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
) -> Tool:
    """The tool: unknown arguments are refused, not ignored, and a WorkspaceError is told to the model.

    `within` gives what each call is entered into on its thread, `place` what it waits for before it gets one.
    """

    @functools.wraps(offer.call)
    def call(**arguments: Any) -> CallToolResult:
        try:
            with within():
                return _result(offer.call(**arguments))
        except WorkspaceError as error:
            raise ToolError(str(error)) from error

    made = StrictTool.from_function(
        call, title=offer.title, description=inspect.getdoc(offer.call), annotations=offer.hints, structured_output=True
    )
    # The SDK's annotation promises a Tool, whichever class is asked.
    tool = cast("StrictTool", made)
    tool._place = place
    # The SDK builds the argument model itself and lets it ignore unknown names: a misspelt `limit` would go unseen.
    arguments = tool.fn_metadata.arg_model
    arguments.model_config["extra"] = "forbid"
    arguments.model_rebuild(force=True)
    tool.parameters = arguments.model_json_schema(by_alias=True)
    return tool


def explain(error: ValidationError, schema: dict[str, Any]) -> str:
    """What is wrong with each argument, for a model that can correct it; `schema` is the tool's."""
    found = [_complaint(each, schema) for each in error.errors()]
    more = len(found) - MOST_ERRORS
    return "; ".join(found[:MOST_ERRORS]) + (f"; and {more} more" if more > 0 else "")


def _truths_for_numbers(arguments: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    """Names of numbers that true or false were given for: pydantic makes 1 and 0 of them."""
    found = []
    for name, value in arguments.items():
        node = schema["properties"].get(name, {})
        kinds = {each.get("type") for each in node.get("anyOf", [node])}
        if isinstance(value, bool) and kinds & {"integer", "number"} and "boolean" not in kinds:
            found.append(name)
    return found


def _complaint(error: ErrorDetails, schema: dict[str, Any]) -> str:
    place = ".".join(map(str, error["loc"]))
    if error["type"] not in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{place}: {error['msg']}"
    return f"{place}: unknown, there are {', '.join(_names_beside(error['loc'], schema))}"


def _names_beside(place: tuple[int | str, ...], schema: dict[str, Any]) -> list[str]:
    """The names that the schema allows where `place` stands."""
    node = schema
    for part in place[:-1]:
        node = node["items"] if isinstance(part, int) else node["properties"][part]
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].removeprefix("#/$defs/")]
    return list(node["properties"])


def _result(reply: BaseModel) -> CallToolResult:
    text = reply.model_dump_json(by_alias=True)
    links = reply.links() if isinstance(reply, Linked) else []
    pictures = reply.pictures() if isinstance(reply, Illustrated) else ()
    images = [
        ImageContent(type="image", mime_type="image/png", data=base64.b64encode(each).decode()) for each in pictures
    ]
    return CallToolResult(
        content=[TextContent(type="text", text=text), *images, *links],
        structured_content=reply.model_dump(mode="json", by_alias=True),
    )
