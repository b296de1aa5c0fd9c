"""One call of a model: its answer streamed, checked to be whole, its tool calls read strictly."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolCall
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.runnables import Runnable

from agents.drawn import pictures_of
from agents.events import Usage
from agents.vendor_errors import VENDOR_ERRORS, VendorFailed, agent_failure, broke_off
from gateway.ids import new_id

# Seconds without a sign of life, at the start (a long prompt is read first) and between two pieces.
SILENCE_S = 60.0

# Seconds for one call from beginning to end; some SDKs would retry for an hour.
CALL_S = 300.0

# How the vendors' formats say that an answer has reached the length that was asked for: OpenAI's and OpenRouter's,
# Anthropic's, and Gemini's, whose names are in capitals.
CUT_REASONS = {"length", "max_tokens"}

NO_OBJECT = "The arguments were not a JSON object. Send the whole call again."
NOT_WHOLE = "Your answer reached its greatest length in the middle of this call. Do it in smaller pieces."

OnText = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class BoundModel:
    """A model with its tools bound. `label` is the provider's name for people, `errors` what asking it may raise.

    `silence_s` and `call_s`: seconds without a sign of life, and for the whole call, after which it is given up.
    """

    runnable: Runnable[Any, AIMessage]
    label: str
    errors: tuple[type[Exception], ...] = VENDOR_ERRORS
    silence_s: float = SILENCE_S
    call_s: float = CALL_S


@dataclass(frozen=True, slots=True)
class Spoken:
    """A model's whole message. `malformed` says, by call id, which tool arguments were no JSON object.

    `cut`: it ends where the longest answer does, not where the model would have ended it.
    """

    message: AIMessage
    usage: Usage
    malformed: dict[str, str]
    cut: bool = False


async def call_model(model: BoundModel, messages: Sequence[BaseMessage], *, on_text: OnText) -> Spoken:
    """Ask the model; each piece of text goes to `on_text` as it comes.

    Raises VendorFailed: for every error of the vendor, for silence, and for an answer that broke off (none of the
    vendors' packages raises anything when a stream ends early: a missing finish reason tells). Its `took` is nothing where
    nothing came, and the vendor's own figure for a whole answer that is none.
    """
    chunks: list[AIMessageChunk] = []
    deadline = asyncio.get_running_loop().time() + model.call_s
    stream = cast("AsyncGenerator[AIMessageChunk, None]", model.runnable.astream(list(messages)))
    async with aclosing(stream):
        try:
            while (chunk := await _next(stream, model, deadline)) is not None:
                chunks.append(chunk)
                if text := str(chunk.text):
                    await on_text(text)
        except VendorFailed as error:
            error.took = None if chunks else Usage()
            raise
    return _spoken(chunks, model)


async def _next(
    stream: AsyncGenerator[AIMessageChunk, None], model: BoundModel, deadline: float
) -> AIMessageChunk | None:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout_at(min(deadline, loop.time() + model.silence_s)):
            return await anext(stream, None)
    except model.errors as error:
        raise agent_failure(error, label=model.label) from error


def _spoken(chunks: list[AIMessageChunk], model: BoundModel) -> Spoken:
    whole = add_ai_message_chunks(*chunks) if chunks else AIMessageChunk(content="")
    finish = whole.response_metadata.get("finish_reason") or whole.response_metadata.get("stop_reason")
    if not finish:
        broken = broke_off(model.label)
        broken.took = None if chunks else Usage()
        raise broken
    cut = str(finish).lower() in CUT_REASONS
    calls, malformed = _tool_calls(whole, cut=cut)
    if not calls and not whole.text and not pictures_of(whole):
        said = "spent its longest answer on thinking, and said nothing" if cut else "gave an empty answer"
        empty = VendorFailed("empty_answer", f"{model.label} {said}.", retryable=True)
        empty.took = _usage(whole) if whole.usage_metadata else None
        raise empty
    message = AIMessage(
        content=whole.content,
        tool_calls=calls,
        id=whole.id,
        additional_kwargs=whole.additional_kwargs,
        response_metadata=whole.response_metadata,
        usage_metadata=whole.usage_metadata,
    )
    return Spoken(message, _usage(whole), malformed, cut)


def _tool_calls(whole: AIMessageChunk, *, cut: bool) -> tuple[list[ToolCall], dict[str, str]]:
    """The calls with strictly parsed arguments: LangChain completes broken JSON silently, so that half a call would run."""
    none = "" if cut else "{}"
    calls: list[ToolCall] = []
    malformed: dict[str, str] = {}
    for raw in whole.tool_call_chunks:
        call_id = raw["id"] or new_id()
        arguments = _json_object(raw["args"] or none)
        if arguments is None:
            malformed[call_id] = NOT_WHOLE if cut else NO_OBJECT
        calls.append(ToolCall(type="tool_call", name=raw["name"] or "", args=arguments or {}, id=call_id))
    return calls, malformed


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _usage(whole: AIMessageChunk) -> Usage:
    counted = whole.usage_metadata
    if counted is None:
        return Usage()
    cached = counted.get("input_token_details", {}).get("cache_read") or 0
    return Usage(counted["input_tokens"], cached, counted["output_tokens"])
