"""Tools, resources and prompts with a fixed content, and all other fixtures with them."""

from __future__ import annotations

import base64
import json
from typing import Any

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp_types import (
    AudioContent,
    CallToolResult,
    Completion,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    UnsubscribeRequestParams,
)

from mcp_server.conformance.asking import ASKING
from mcp_server.conformance.rounds import ROUNDS, test_input_required_result_prompt

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
WAV = base64.b64decode("UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=")
PAUSE_S = 0.05

# Source: scenario json-schema-2020-12.
SCHEMA_2020_12 = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


def mount(server: MCPServer[Any]) -> None:
    """Add every fixture to the server."""
    for tool in (*CONTENTS, *ASKING, *ROUNDS):
        server.add_tool(tool, description=tool.__doc__, structured_output=False)
    server.add_tool(json_schema_2020_12_tool, description=json_schema_2020_12_tool.__doc__, structured_output=False)
    # The SDK has no way to give a tool a schema of its own, nor to add the methods below, which the workspace doesn't offer.
    added = {tool.name: tool for tool in server._tool_manager.list_tools()}
    added["json_schema_2020_12_tool"].parameters = SCHEMA_2020_12
    added["test_custom_header"].parameters["properties"]["region"]["x-mcp-header"] = "Region"
    _add_resources(server)
    for prompt in PROMPTS:
        server.prompt(description=prompt.__doc__)(prompt)
    server.completion()(complete)  # type: ignore[no-untyped-call]  # the SDK's decorator has no annotations
    low = server._lowlevel_server
    low.add_request_handler("logging/setLevel", SetLevelRequestParams, accept)
    low.add_request_handler("resources/subscribe", SubscribeRequestParams, accept)
    low.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, accept)


def embedded(uri: str, mime_type: str, text: str) -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))


def image() -> ImageContent:
    return ImageContent(type="image", data=base64.b64encode(PNG).decode(), mime_type="image/png")


def test_simple_text() -> CallToolResult:
    """Answer with a text."""
    return CallToolResult(content=[TextContent(type="text", text="This is a simple text response for testing.")])


def test_image_content() -> CallToolResult:
    """Answer with an image."""
    return CallToolResult(content=[image()])


def test_audio_content() -> CallToolResult:
    """Answer with a sound."""
    return CallToolResult(
        content=[AudioContent(type="audio", data=base64.b64encode(WAV).decode(), mime_type="audio/wav")]
    )


def test_embedded_resource() -> CallToolResult:
    """Answer with a resource."""
    resource = embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")
    return CallToolResult(content=[resource])


def test_multiple_content_types() -> CallToolResult:
    """Answer with a text, an image and a resource."""
    resource = embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')
    text = TextContent(type="text", text="Multiple content types test:")
    return CallToolResult(content=[text, image(), resource])


def test_error_handling() -> CallToolResult:
    """Fail."""
    raise ToolError("This tool intentionally returns an error for testing")


async def test_tool_with_progress(context: Context) -> CallToolResult:
    """Tell progress three times."""
    for progress in (0, 50, 100):
        await context.report_progress(progress, 100, f"Completed step {progress} of 100")
        await anyio.sleep(PAUSE_S)
    return CallToolResult(content=[TextContent(type="text", text="Done.")])


async def test_trigger_tool_change(context: Context) -> CallToolResult:
    """Tell those who listen that the list of tools has changed."""
    await context.notify_tools_changed()
    return CallToolResult(content=[TextContent(type="text", text="Told.")])


async def test_trigger_prompt_change(context: Context) -> CallToolResult:
    """Tell those who listen that the list of prompts has changed."""
    await context.notify_prompts_changed()
    return CallToolResult(content=[TextContent(type="text", text="Told.")])


def test_custom_header(region: str) -> CallToolResult:
    """Answer with an argument that also has to stand in a header of the request."""
    return CallToolResult(content=[TextContent(type="text", text=region)])


def json_schema_2020_12_tool() -> CallToolResult:
    """Tool with JSON Schema 2020-12 features."""
    return CallToolResult(content=[TextContent(type="text", text="Only its schema is looked at.")])


CONTENTS = (
    test_simple_text,
    test_image_content,
    test_audio_content,
    test_embedded_resource,
    test_multiple_content_types,
    test_error_handling,
    test_tool_with_progress,
    test_trigger_tool_change,
    test_trigger_prompt_change,
    test_custom_header,
)


def _add_resources(server: MCPServer[Any]) -> None:
    def static_text() -> str:
        return "This is the content of the static text resource."

    def static_binary() -> bytes:
        return PNG

    def watched() -> str:
        return "Nothing happens."

    def template(id: str) -> str:  # noqa: A002 - the template's variable is called so
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})

    server.resource("test://static-text", description="A text.", mime_type="text/plain")(static_text)
    server.resource("test://static-binary", description="An image.", mime_type="image/png")(static_binary)
    server.resource("test://watched-resource", description="A text to subscribe to.", mime_type="text/plain")(watched)
    server.resource("test://template/{id}/data", description="A template.", mime_type="application/json")(template)


def test_simple_prompt() -> UserMessage:
    """A prompt without arguments."""
    return UserMessage("This is a simple prompt for testing.")


def test_prompt_with_arguments(arg1: str, arg2: str) -> UserMessage:
    """A prompt with two arguments."""
    return UserMessage(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'")


def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:  # noqa: N803 - the suite's name
    """A prompt with a resource in it."""
    resource = embedded(resourceUri, "text/plain", "Embedded resource content for testing.")
    return [UserMessage(resource), UserMessage("Please process the embedded resource above.")]


def test_prompt_with_image() -> list[UserMessage]:
    """A prompt with an image in it."""
    return [UserMessage(image()), UserMessage("Please analyze the image above.")]


PROMPTS = (
    test_simple_prompt,
    test_prompt_with_arguments,
    test_prompt_with_embedded_resource,
    test_prompt_with_image,
    test_input_required_result_prompt,
)


async def accept(_context: object, _params: object) -> EmptyResult:
    return EmptyResult()


async def complete(_ref: object, argument: Any, _context: object) -> Completion:
    found = [word for word in ("paris", "park", "party") if word.startswith(argument.value)]
    return Completion(values=found, total=len(found), has_more=False)
