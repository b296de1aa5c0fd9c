"""Every provider of the folder, against servers that speak its real wire format.

Source: DESIGN.md, Agent: Providers; the traps of each vendor's package that are written down in PLATFORMS.md.
"""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage

from agents.catalogue import Model
from agents.circuits import Trouble
from agents.drawn import pictures_of, without_pictures
from agents.errors import AgentFailed
from agents.events import Usage
from agents.mcp.tools import Tool, ToolSet
from agents.model_pool import ModelPool
from agents.model_step import NOT_WHOLE, BoundModel, Spoken, call_model
from agents.providers import ApiEndpoint, ChatModel, providers
from agents.tests.doubles.http_server import Reply, scripted_server, sse
from agents.tests.doubles.vendors import Spoken as Wire
from agents.tests.doubles.vendors import events, longest_answer, tool_results, tool_schemas
from agents.vendor_errors import VENDOR_ERRORS, VendorFailed

VENDORS = ["anthropic", "google", "openai", "openrouter"]
KEY = "sk-secret-key-of-the-operator"
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 60
LONGEST = 777
QUESTION = [SystemMessage("Be brief."), HumanMessage("RSI of SPX?")]
TOOL = Tool(
    name="compute_indicators",
    description="Compute indicators.",
    schema={
        "type": "object",
        "properties": {
            "symbol": {"type": "string", "maxLength": 64},
            "indicators": {"type": "array", "items": {"$ref": "#/$defs/Wanted"}, "minItems": 1},
            "start": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}], "default": None},
        },
        "required": ["symbol", "indicators"],
        "additionalProperties": False,
        "$defs": {"Wanted": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
    },
    repeatable=True,
)
TOOLS = ToolSet((TOOL,), digest="one")

Ask = Callable[..., Awaitable[Spoken]]


@pytest.fixture(params=VENDORS)
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def models() -> AsyncIterator[ModelPool]:
    pool = ModelPool()
    yield pool
    await pool.close()


@pytest.fixture
def ask(vendor: str, models: ModelPool) -> Ask:
    """Ask the vendor's model at a server; gives what it said, its text pieces in `said`."""

    async def asking(
        url: str, messages: list[Any] = QUESTION, *, said: list[str] | None = None, **limits: float
    ) -> Spoken:
        endpoint = ApiEndpoint(base_url=base_url(vendor, url), key=KEY)
        built = await models.get(providers()[vendor], scripted(vendor), endpoint)
        bound = BoundModel(models.with_tools(built, TOOLS), "The vendor", (*VENDOR_ERRORS, *built.errors), **limits)

        async def on_text(piece: str) -> None:
            if said is not None:
                said.append(piece)

        return await call_model(bound, messages, on_text=on_text)

    return asking


def scripted(vendor: str) -> Model:
    return Model(provider=vendor, name="scripted", size="small", longest_answer=LONGEST)


def base_url(vendor: str, url: str) -> str:
    return url if vendor in {"anthropic", "google"} else f"{url}/v1"


async def test_text_streams_and_its_usage_is_counted(vendor: str, ask: Ask) -> None:
    """Source: DESIGN.md, Protocol: usage {input_tokens, cached_tokens, output_tokens}."""
    said: list[str] = []
    async with scripted_server(sse(*events(vendor, Wire(text=("The RSI ", "is ", "41."))))) as server:
        spoken = await ask(server.url, said=said)

    assert "".join(said) == "The RSI is 41."
    assert spoken.message.text == "The RSI is 41."
    assert spoken.usage == Usage(input_tokens=100, cached_tokens=60, output_tokens=5)


async def test_the_key_goes_to_the_configured_server(vendor: str, ask: Ask) -> None:
    async with scripted_server(sse(*events(vendor, Wire(text=("Hi",))))) as server:
        await ask(server.url)

    assert any(KEY in value for value in server.asked[0].headers.values())


async def test_a_tool_call_comes_with_its_arguments_and_its_result_goes_back(vendor: str, ask: Ask) -> None:
    arguments = {"symbol": "SPX", "indicators": [{"name": "RSI"}]}
    text = json.dumps(arguments)
    call = Wire(text=("Let me see. ",), tool=TOOL.model_name, arguments=(text[:9], text[9:20], text[20:]))
    async with scripted_server(sse(*events(vendor, call)), sse(*events(vendor, Wire(text=("41.",))))) as server:
        first = await ask(server.url)
        (made,) = first.message.tool_calls
        result = ToolMessage('{"RSI": 41.2}', tool_call_id=made["id"] or "", name=made["name"])
        second = await ask(server.url, [*QUESTION, first.message, result])

    assert (made["name"], made["args"], first.malformed) == (TOOL.model_name, arguments, {})
    assert second.message.text == "41."
    assert ["41.2" in text for text in tool_results(vendor, server.asked[1].body)] == [True]


async def test_the_offered_schema_has_no_reference(vendor: str, ask: Ask) -> None:
    """Gemini refuses references, and some compatible servers ignore them."""
    async with scripted_server(sse(*events(vendor, Wire(text=("Hi",))))) as server:
        await ask(server.url)

    schemas = tool_schemas(vendor, server.asked[0].body)
    assert list(schemas) == [TOOL.model_name]
    assert "$ref" not in json.dumps(schemas)
    assert "symbol" in json.dumps(schemas)


async def test_the_vendor_is_told_how_long_an_answer_may_be_and_a_cut_one_is_known(vendor: str, ask: Ask) -> None:
    async with scripted_server(sse(*events(vendor, Wire(text=("The RSI",), cut=True)))) as server:
        spoken = await ask(server.url)

    assert longest_answer(vendor, server.asked[0].body) == LONGEST
    assert (spoken.message.text, spoken.cut) == ("The RSI", True)


@pytest.mark.parametrize("vendor", ["anthropic", "openai", "openrouter"], indirect=True)
@pytest.mark.parametrize("heard", [(), ('{"symbol": "SP',)])
async def test_a_tool_call_in_which_an_answer_was_cut_is_not_run(vendor: str, ask: Ask, heard: tuple[str, ...]) -> None:
    cut = Wire(tool=TOOL.model_name, arguments=heard, cut=True)
    async with scripted_server(sse(*events(vendor, cut))) as server:
        spoken = await ask(server.url)

    assert list(spoken.malformed.values()) == [NOT_WHOLE]


async def test_an_answer_that_was_all_thoughts_says_so(vendor: str, ask: Ask) -> None:
    async with scripted_server(sse(*events(vendor, Wire(cut=True)))) as server:
        with pytest.raises(AgentFailed, match="spent its longest answer on thinking"):
            await ask(server.url)


@pytest.mark.parametrize("vendor", ["anthropic", "openai", "openrouter"], indirect=True)
async def test_half_a_tool_call_is_not_run_as_a_whole_one(vendor: str, ask: Ask) -> None:
    """LangChain completes broken JSON; Gemini's arguments are no text and can't be broken."""
    broken = Wire(tool=TOOL.model_name, arguments=('{"symbol": "SP',))
    async with scripted_server(sse(*events(vendor, broken))) as server:
        spoken = await ask(server.url)

    (call,) = spoken.message.tool_calls
    assert call["args"] == {}
    assert list(spoken.malformed) == [call["id"]]


async def test_a_stream_that_ends_early_is_a_failure(vendor: str, ask: Ask) -> None:
    async with scripted_server(sse(*events(vendor, Wire(text=("The RSI ", "is"), finished=False)))) as server:
        with pytest.raises(AgentFailed) as failed:
            await ask(server.url)

    assert (failed.value.code, failed.value.retryable) == ("provider_unavailable", True)


async def test_a_connection_cut_in_the_middle_is_a_failure(vendor: str, ask: Ask) -> None:
    cut = sse(*events(vendor, Wire(text=("The RSI ", "is"), finished=False)), cut=True)
    async with scripted_server(cut) as server:
        with pytest.raises(AgentFailed) as failed:
            await ask(server.url)

    assert (failed.value.code, failed.value.retryable) == ("provider_unavailable", True)


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (400, "provider_rejected", False),
        (401, "provider_rejected", False),
        (402, "provider_rejected", False),
        (403, "provider_rejected", False),
        (404, "provider_rejected", False),
        (429, "rate_limited", True),
        (500, "provider_unavailable", True),
        (503, "provider_unavailable", True),
        (529, "provider_unavailable", True),
    ],
)
async def test_an_error_status_is_one_request_and_a_sentence_without_secrets(
    ask: Ask, status: int, code: str, retryable: bool
) -> None:
    message = f"Incorrect API key provided: {KEY} at http://internal.example/v1"
    body = json.dumps({"type": "error", "error": {"type": "x", "code": status, "message": message, "status": "X"}})
    async with scripted_server(Reply(status, body.encode())) as server:
        with pytest.raises(AgentFailed) as failed:
            await ask(server.url)

    assert (failed.value.code, failed.value.retryable) == (code, retryable)
    assert len(server.asked) == 1
    assert KEY not in failed.value.message
    assert "http" not in failed.value.message


@pytest.mark.parametrize("status", [429, 503])
async def test_what_the_server_asks_to_wait_is_heard(ask: Ask, status: int) -> None:
    """Also of Gemini, whose package ignores it."""
    async with scripted_server(Reply(status, b"{}", headers=(("Retry-After", "17"),))) as server:
        with pytest.raises(VendorFailed) as failed:
            await ask(server.url)

    assert failed.value.trouble == Trouble(wait_s=17.0)


NO_CREDIT = {
    "anthropic": (
        400,
        {"type": "invalid_request_error", "message": "Your credit balance is too low to access the API."},
    ),
    "google": (429, {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Your prepayment credits are depleted."}),
    "openai": (429, {"code": "insufficient_quota", "message": "You exceeded your current quota, check your plan."}),
    "openrouter": (402, {"code": 402, "message": "Insufficient credits."}),
}


async def test_an_account_without_credit_is_told_from_a_busy_one(vendor: str, ask: Ask) -> None:
    status, error = NO_CREDIT[vendor]
    async with scripted_server(Reply(status, json.dumps({"type": "error", "error": error}).encode())) as server:
        with pytest.raises(VendorFailed) as failed:
            await ask(server.url)

    assert failed.value.trouble == Trouble("provider", billing=True)
    assert failed.value.message == "This service's account at The vendor has no credit left."


TOO_LONG = {
    "anthropic": {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 maximum"},
    "google": {
        "code": 400,
        "status": "INVALID_ARGUMENT",
        "message": "The input token count (2) exceeds the maximum (1).",
    },
    "openai": {"code": "context_length_exceeded", "message": "This model's maximum context length is 1 token."},
    "openrouter": {"code": 400, "message": "This endpoint's maximum context length is 1 token."},
}


async def test_a_prompt_that_is_too_long_is_told(vendor: str, ask: Ask) -> None:
    async with scripted_server(Reply(400, json.dumps({"type": "error", "error": TOO_LONG[vendor]}).encode())) as server:
        with pytest.raises(VendorFailed) as failed:
            await ask(server.url)

    assert (failed.value.code, failed.value.trouble) == ("context_too_long", Trouble("request"))


async def test_a_slow_first_byte_is_waited_for(vendor: str, ask: Ask) -> None:
    slow = replace(sse(*events(vendor, Wire(text=("At last.",)))), after_s=0.3)
    async with scripted_server(slow) as server:
        assert (await ask(server.url)).message.text == "At last."


async def test_a_picture_in_the_question_reaches_the_model(vendor: str, ask: Ask) -> None:
    picture = {"type": "image", "base64": "aGVsbG8=", "mime_type": "image/png"}
    question = HumanMessage(content=[{"type": "text", "text": "What is this?"}, picture])
    async with scripted_server(sse(*events(vendor, Wire(text=("A chart.",))))) as server:
        await ask(server.url, [question])

    sent = json.dumps(server.asked[0].body)
    assert "aGVsbG8=" in sent
    assert "image/png" in sent


async def test_thoughts_are_not_shown(vendor: str, ask: Ask) -> None:
    said: list[str] = []
    async with scripted_server(sse(*events(vendor, Wire(text=("41.",), thoughts=("Hm", "m."))))) as server:
        spoken = await ask(server.url, said=said)

    assert ("".join(said), spoken.message.text) == ("41.", "41.")


async def test_a_key_is_not_taken_elsewhere_by_a_redirect(vendor: str, ask: Ask) -> None:
    async with scripted_server(sse(*events(vendor, Wire(text=("Hi",))))) as other:
        there = (("Location", f"{other.url}/v1/chat/completions"),)
        async with scripted_server(Reply(307, b"", headers=there)) as server:
            with pytest.raises(AgentFailed):
                await ask(server.url)

    assert other.asked == []


async def test_a_server_that_is_not_there_is_a_failure(ask: Ask) -> None:
    async with scripted_server(Reply()) as server:
        url = server.url

    with pytest.raises(AgentFailed) as failed:
        await ask(url)

    assert (failed.value.code, failed.value.retryable) == ("provider_unavailable", True)
    assert url not in failed.value.message


async def test_a_silent_server_is_given_up(ask: Ask) -> None:
    async with scripted_server(Reply(held=True)) as server:
        with pytest.raises(AgentFailed) as failed:
            await ask(server.url, silence_s=0.3)

    assert (failed.value.code, failed.value.retryable) == ("provider_unavailable", True)


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"[]", b"", b'{"candidates": 1, "choices": {}}'])
async def test_an_answer_of_another_shape_is_a_failure(ask: Ask, body: bytes) -> None:
    async with scripted_server(Reply(body=body)) as server:
        with pytest.raises(AgentFailed) as failed:
            await ask(server.url)

    assert failed.value.retryable


@pytest.mark.parametrize("event", [b"data: {\n\n", b"data: 7\n\n", b'data: {"error": {"message": "overloaded"}}\n\n'])
async def test_events_of_another_shape_are_a_failure(ask: Ask, event: bytes) -> None:
    async with scripted_server(sse(event)) as server:
        with pytest.raises(AgentFailed) as failed:
            await ask(server.url)

    assert failed.value.retryable


async def test_one_model_object_serves_all_who_ask_at_once(vendor: str, models: ModelPool) -> None:
    endpoint = ApiEndpoint(base_url="http://127.0.0.1:9", key=KEY)
    built: list[ChatModel] = [await models.get(providers()[vendor], scripted(vendor), endpoint) for _ in range(3)]

    assert built[0] is built[1] is built[2]


async def test_a_model_that_calls_no_tool_and_says_nothing_is_a_failure_and_costs_what_the_vendor_says(
    vendor: str, ask: Ask
) -> None:
    async with scripted_server(sse(*events(vendor, Wire()))) as server:
        with pytest.raises(AgentFailed) as failed:
            await ask(server.url)

    assert failed.value.code == "empty_answer"
    assert failed.value.took == Usage(100, 60, 5)


async def test_a_call_of_which_nothing_came_costs_nothing(vendor: str, ask: Ask) -> None:
    async with scripted_server(Reply(503)) as server:
        with pytest.raises(AgentFailed) as failed:
            await ask(server.url)

    assert failed.value.took == Usage()


async def test_of_an_answer_that_broke_off_only_what_was_seen_of_it_tells_the_cost(vendor: str, ask: Ask) -> None:
    """Also when no text had come yet: a tool call is paid for."""
    half = Wire(tool="workspace__compute_indicators", arguments=('{"symbol": "SPX"}',), finished=False)
    async with scripted_server(sse(*events(vendor, half))) as server:
        with pytest.raises(AgentFailed) as failed:
            await ask(server.url)

    assert (failed.value.code, failed.value.took) == ("provider_unavailable", None)


@pytest.mark.parametrize("vendor", ["google", "openrouter"], indirect=True)
@pytest.mark.parametrize("text", [("Look: ", "here."), ()], ids=["with words", "alone"])
async def test_a_picture_that_the_model_draws_is_part_of_its_answer(
    ask: Ask, vendor: str, text: tuple[str, ...]
) -> None:
    """Source: ai.google.dev, Image generation; openrouter.ai/docs, Image Generation. The other two formats have none."""
    drawn = Wire(text=text, picture=base64.b64encode(PNG).decode())
    async with scripted_server(sse(*events(vendor, drawn))) as server:
        spoken = await ask(server.url)

    assert pictures_of(spoken.message) == [PNG]
    assert spoken.message.text == "".join(text)
    assert spoken.usage == Usage(input_tokens=100, cached_tokens=60, output_tokens=5)
    assert without_pictures(spoken.message).text == "".join(text)
    assert "base64" not in str(without_pictures(spoken.message).content)
