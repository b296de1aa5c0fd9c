"""Tools that speak to the client while they work, as up to 2025-11-25."""

from __future__ import annotations

from typing import Any

import anyio
from mcp.server.mcpserver import Context
from mcp_types import CallToolResult, SamplingMessage, TextContent

PAUSE_S = 0.05


def said(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)])


async def test_tool_with_logging(context: Context) -> CallToolResult:
    """Log three lines to the client."""
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await context.session.send_log_message(level="info", data=line, related_request_id=context.request_id)
        await anyio.sleep(PAUSE_S)
    return said("Done.")


async def test_logging_tool(context: Context) -> CallToolResult:
    """Log to a client that may not want it."""
    return await test_tool_with_logging(context)


async def test_sampling(prompt: str, context: Context) -> CallToolResult:
    """Ask the client's model."""
    messages = [SamplingMessage(role="user", content=TextContent(type="text", text=prompt))]
    answer = await context.session.create_message(
        messages=messages, max_tokens=100, related_request_id=context.request_id
    )
    return said(f"LLM response: {answer.content.text if isinstance(answer.content, TextContent) else ''}")


async def test_elicitation(message: str, context: Context) -> CallToolResult:
    """Ask the user for a name and an address."""
    fields = {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    }
    return said(f"User response: {await asked(context, message, fields, required=['username', 'email'])}")


async def test_elicitation_sep1034_defaults(context: Context) -> CallToolResult:
    """Ask the user with a form that has defaults."""
    fields: dict[str, Any] = {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    }
    return said(f"Elicitation completed: {await asked(context, 'Please check', fields)}")


async def test_elicitation_sep1330_enums(context: Context) -> CallToolResult:
    """Ask the user with a form of choices."""
    options, values = ["option1", "option2", "option3"], ["value1", "value2", "value3"]
    titled = [{"const": value, "title": f"{nth} Option"} for value, nth in zip(values, NTH, strict=True)]
    choices = [{"const": value, "title": f"{nth} Choice"} for value, nth in zip(values, NTH, strict=True)]
    fields: dict[str, Any] = {
        "untitledSingle": {"type": "string", "enum": options},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
        "titledMulti": {"type": "array", "items": {"anyOf": choices}},
    }
    return said(f"Elicitation completed: {await asked(context, 'Please choose', fields)}")


NTH = ("First", "Second", "Third")


async def asked(context: Context, message: str, fields: dict[str, Any], *, required: list[str] | None = None) -> str:
    """What the user did with a form."""
    schema = {"type": "object", "properties": fields, "required": required or []}
    answer = await context.session.elicit_form(
        message=message, requested_schema=schema, related_request_id=context.request_id
    )
    return f"action={answer.action}, content={answer.content}"


ASKING = (
    test_tool_with_logging,
    test_logging_tool,
    test_sampling,
    test_elicitation,
    test_elicitation_sep1034_defaults,
    test_elicitation_sep1330_enums,
)
