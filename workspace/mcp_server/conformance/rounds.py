"""Tools and a prompt that need input of the client: since 2026-07-28 an answer of its own, after which the client asks again."""

from __future__ import annotations

from typing import Any

from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolResult,
    ClientCapabilities,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    MissingRequiredClientCapabilityErrorData,
    SamplingCapability,
    SamplingMessage,
    TextContent,
)

Answer = CallToolResult | InputRequiredResult


def said(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)])


def form(message: str, field: str, kind: str = "string") -> ElicitRequest:
    """A form with one field."""
    schema: dict[str, Any] = {"type": "object", "properties": {field: {"type": kind}}, "required": [field]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def question(text: str, *, max_tokens: int = 100) -> CreateMessageRequest:
    """A question for the client's model."""
    messages = [SamplingMessage(role="user", content=TextContent(type="text", text=text))]
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=messages, max_tokens=max_tokens))


def filled(context: Context, key: str, field: str) -> Any:
    """What the user filled into a form; None when it was not answered."""
    answer = (context.input_responses or {}).get(key)
    if not isinstance(answer, ElicitResult) or answer.action != "accept":
        return None
    return (answer.content or {}).get(field)


def test_input_required_result_elicitation(context: Context) -> Answer:
    """Ask for a name and greet it."""
    name = filled(context, "user_name", "name")
    if not isinstance(name, str):
        return InputRequiredResult(input_requests={"user_name": form("What is your name?", "name")})
    return said(f"Hello, {name}!")


def test_input_required_result_sampling(context: Context) -> Answer:
    """Ask the client's model."""
    answer = (context.input_responses or {}).get("capital_question")
    if not isinstance(answer, CreateMessageResult):
        return InputRequiredResult(input_requests={"capital_question": question("What is the capital of France?")})
    return said(answer.content.text if isinstance(answer.content, TextContent) else "")


def test_input_required_result_list_roots(context: Context) -> Answer:
    """Ask for the client's roots."""
    answer = (context.input_responses or {}).get("client_roots")
    if not isinstance(answer, ListRootsResult):
        return InputRequiredResult(input_requests={"client_roots": ListRootsRequest()})
    return said(", ".join(str(root.uri) for root in answer.roots))


def test_input_required_result_request_state(context: Context) -> Answer:
    """Ask with a state that the client brings back."""
    if context.request_state != "asked" or filled(context, "confirm", "ok") is None:
        asked = {"confirm": form("Please confirm", "ok", "boolean")}
        return InputRequiredResult(input_requests=asked, request_state="asked")
    return said("state-ok")


def test_input_required_result_tampered_state(context: Context) -> Answer:
    """Ask with a state that is refused when the client has changed it."""
    return test_input_required_result_request_state(context)


def test_input_required_result_multiple_inputs(context: Context) -> Answer:
    """Ask for three things at once."""
    answers = context.input_responses or {}
    if not answers.keys() >= {"user_name", "greeting", "client_roots"}:
        asked = {
            "user_name": form("What is your name?", "name"),
            "greeting": question("Generate a greeting", max_tokens=50),
            "client_roots": ListRootsRequest(),
        }
        return InputRequiredResult(input_requests=asked, request_state="asked")
    return said(f"Hello, {filled(context, 'user_name', 'name')}!")


def test_input_required_result_multi_round(context: Context) -> Answer:
    """Ask twice, one after the other."""
    if context.request_state is None:
        asked = {"step1": form("Step 1: What is your name?", "name")}
        return InputRequiredResult(input_requests=asked, request_state="step1")
    if context.request_state == "step1":
        name = filled(context, "step1", "name")
        asked = {"step2": form("Step 2: What is your favorite color?", "color")}
        return InputRequiredResult(input_requests=asked, request_state=f"step2 {name}")
    name = context.request_state.removeprefix("step2 ")
    return said(f"{name} likes {filled(context, 'step2', 'color')}.")


def test_input_required_result_capabilities(context: Context) -> Answer:
    """Ask only for what the client can give."""
    can = context.client_capabilities or ClientCapabilities()
    asked: dict[str, Any] = {}
    if can.elicitation is not None:
        asked["user_name"] = form("What is your name?", "name")
    if can.sampling is not None:
        asked["greeting"] = question("Generate a greeting")
    return InputRequiredResult(input_requests=asked) if asked else said("There is nobody to ask.")


def test_missing_capability(context: Context) -> CallToolResult:
    """Refuse a client that has no model."""
    if context.client_capabilities is None or context.client_capabilities.sampling is None:
        needed = ClientCapabilities(sampling=SamplingCapability())
        data = MissingRequiredClientCapabilityErrorData(required_capabilities=needed)
        raise MCPError(
            code=MISSING_REQUIRED_CLIENT_CAPABILITY,
            message="This tool needs the client's model.",
            data=data.model_dump(by_alias=True, exclude_none=True),
        )
    return said("The client has a model.")


def test_streaming_elicitation(context: Context) -> Answer:
    """Ask for a name."""
    return test_input_required_result_elicitation(context)


async def test_input_required_result_prompt(context: Context) -> Any:
    """A prompt that asks for its context."""
    wanted = filled(context, "user_context", "context")
    if wanted is None:
        return InputRequiredResult(
            input_requests={"user_context": form("What context should the prompt use?", "context")}
        )
    return f"Use this context: {wanted}"


ROUNDS = (
    test_input_required_result_elicitation,
    test_input_required_result_sampling,
    test_input_required_result_list_roots,
    test_input_required_result_request_state,
    test_input_required_result_tampered_state,
    test_input_required_result_multiple_inputs,
    test_input_required_result_multi_round,
    test_input_required_result_capabilities,
    test_missing_capability,
    test_streaming_elicitation,
)
