"""The providers against somebody else's idea of their servers: PyPI's `llmock`, which speaks three of the four formats.

Source: the issue's demand for third-party doubles. OpenRouter's is OpenAI's format. What it can't do: see docs/conformance.md.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest
from langchain_core.messages import HumanMessage, ToolMessage

from agents.model_pool import ModelPool
from agents.model_step import BoundModel, Spoken, call_model
from agents.providers import ApiEndpoint, providers
from agents.tests.doubles.vendors import tool_results
from agents.tests.test_providers import TOOL, TOOLS, VENDORS, scripted
from agents.vendor_errors import VENDOR_ERRORS, VendorFailed

if TYPE_CHECKING:
    from llmock.pytest_plugin import LLMock
    from llmock.testing import LLMockServer

QUESTION = HumanMessage("RSI of SPX?")
ARGUMENTS = {"symbol": "SPX", "indicators": [{"name": "RSI"}]}
# llmock's own names of the formats.
FORMATS = {"anthropic": "anthropic", "google": "gemini", "openai": "openai", "openrouter": "openai"}


@pytest.fixture(scope="module")
def server() -> Iterator[LLMockServer]:
    from llmock.testing import LLMockServer  # brings a framework along, where tests are only collected too

    with LLMockServer() as started:
        yield started


@pytest.fixture
def theirs(server: LLMockServer) -> LLMock:
    from llmock.pytest_plugin import LLMock

    mock = LLMock(server)
    mock.reset()
    return mock


@pytest.fixture(params=VENDORS)
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def models() -> AsyncIterator[ModelPool]:
    pool = ModelPool()
    yield pool
    await pool.close()


class Asker:
    """The vendor's model, whose server is llmock."""

    def __init__(self, vendor: str, models: ModelPool, theirs: LLMock) -> None:
        self.vendor, self.models, self.said = vendor, models, list[str]()
        self.endpoint = ApiEndpoint(base_url=theirs.base_url(FORMATS[vendor]).rstrip("/"), key="k")

    async def ask(self, *messages: HumanMessage | Spoken | ToolMessage) -> Spoken:
        built = await self.models.get(providers()[self.vendor], scripted(self.vendor), self.endpoint)
        bound = BoundModel(self.models.with_tools(built, TOOLS), "The vendor", (*VENDOR_ERRORS, *built.errors))
        asked = [each.message if isinstance(each, Spoken) else each for each in messages or (QUESTION,)]

        async def on_text(piece: str) -> None:
            self.said.append(piece)

        return await call_model(bound, asked, on_text=on_text)

    async def failure(self) -> VendorFailed:
        with pytest.raises(VendorFailed) as failed:
            await self.ask()
        return failed.value


@pytest.fixture
def asker(vendor: str, models: ModelPool, theirs: LLMock) -> Asker:
    return Asker(vendor, models, theirs)


async def test_text_streams_and_its_usage_is_counted(asker: Asker, theirs: LLMock) -> None:
    theirs.reply("The RSI of SPX is 41.")
    spoken = await asker.ask()

    assert "".join(asker.said) == spoken.message.text == "The RSI of SPX is 41."
    assert spoken.usage.input_tokens > 0
    assert spoken.usage.output_tokens > 0


async def test_a_tool_call_comes_and_its_result_goes_back(asker: Asker, theirs: LLMock) -> None:
    theirs.call_tool(TOOL.model_name, ARGUMENTS)
    first = await asker.ask()
    (call,) = first.message.tool_calls
    theirs.reply("41.")
    result = ToolMessage('{"RSI": 41.2}', tool_call_id=call["id"] or "", name=call["name"])
    second = await asker.ask(QUESTION, first, result)

    assert (call["name"], call["args"], first.malformed) == (TOOL.model_name, ARGUMENTS, {})
    assert second.message.text == "41."
    assert "41.2" in json.dumps(tool_results(asker.vendor, theirs.last_request.body))


async def test_what_it_asks_to_wait_is_heard(asker: Asker, theirs: LLMock) -> None:
    theirs.rate_limit(retry_after=7)
    failed = await asker.failure()

    assert (failed.code, failed.retryable, failed.trouble.wait_s) == ("rate_limited", True, 7.0)


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [(400, "provider_rejected", False), (401, "provider_rejected", False), (500, "provider_unavailable", True)],
)
async def test_an_error_is_one_request(asker: Asker, theirs: LLMock, status: int, code: str, retryable: bool) -> None:
    theirs.fail(status)
    failed = await asker.failure()

    assert (failed.code, failed.retryable) == (code, retryable)
    assert len(theirs.requests) == 1


async def test_a_prompt_that_is_too_long_is_told(asker: Asker, theirs: LLMock) -> None:
    theirs.context_overflow()

    assert (await asker.failure()).code == "context_too_long"


@pytest.mark.parametrize("fault", ["disconnect", "truncate", "corrupt"])
async def test_a_stream_that_breaks_is_no_answer(asker: Asker, theirs: LLMock, fault: str) -> None:
    theirs.reply("One two three four five six seven eight nine ten.")
    getattr(theirs, fault)(after_chunks=3)
    failed = await asker.failure()

    assert (failed.code, failed.retryable) == ("provider_unavailable", True)
