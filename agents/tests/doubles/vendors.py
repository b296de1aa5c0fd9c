"""How each vendor puts an answer on the wire, as server-sent events.

Sources: the streaming sections of platform.claude.com/docs (Messages), platform.openai.com/docs (Chat completions),
ai.google.dev/api (streamGenerateContent) and openrouter.ai/docs (Streaming).
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

JSON = dict[str, Any]


@dataclass(frozen=True)
class Spoken:
    """An answer: perhaps thoughts, pieces of text, a picture in base64, a tool call whose arguments come in pieces."""

    text: tuple[str, ...] = ()
    tool: str = ""
    arguments: tuple[str, ...] = ()
    finished: bool = True
    thoughts: tuple[str, ...] = ()
    input_tokens: int = 100
    cached_tokens: int = 60
    picture: str = ""
    cut: bool = False


def events(vendor: str, spoken: Spoken) -> list[bytes]:
    """The events of an answer, each as its bytes."""
    return list(_WIRES[vendor](spoken))


def _data(value: JSON, *, event: str = "") -> bytes:
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(value)}\n\n".encode()


def _openai(spoken: Spoken) -> Iterator[bytes]:
    def chunk(delta: JSON, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _data({**_OPENAI_HEAD, "choices": [choice]})

    yield chunk({"role": "assistant", "content": ""})
    for piece in spoken.thoughts:
        yield chunk({"content": None, "reasoning": piece, "reasoning_details": [_thought(piece)]})
    for piece in spoken.text:
        yield chunk({"content": piece})
    if spoken.picture:
        # As OpenRouter has it: openrouter.ai/docs, Image Generation.
        url = f"data:image/png;base64,{spoken.picture}"
        yield chunk({"content": "", "images": [{"type": "image_url", "image_url": {"url": url}, "index": 0}]})
    if spoken.tool:
        head = {"index": 0, "id": "call_1", "type": "function", "function": {"name": spoken.tool, "arguments": ""}}
        yield chunk({"tool_calls": [head]})
        for piece in spoken.arguments:
            yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    if not spoken.finished:
        return
    yield chunk({}, "length" if spoken.cut else "tool_calls" if spoken.tool else "stop")
    usage = {
        "prompt_tokens": spoken.input_tokens,
        "completion_tokens": 5,
        "total_tokens": spoken.input_tokens + 5,
        "prompt_tokens_details": {"cached_tokens": spoken.cached_tokens},
    }
    yield _data({**_OPENAI_HEAD, "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def _thought(text: str) -> JSON:
    """As OpenRouter has it: openrouter.ai/docs, Reasoning Tokens."""
    return {"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}


_OPENAI_HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "scripted"}


def _anthropic(spoken: Spoken) -> Iterator[bytes]:
    def event(kind: str, **values: Any) -> bytes:
        return _data({"type": kind, **values}, event=kind)

    fresh = spoken.input_tokens - spoken.cached_tokens
    usage = {"input_tokens": fresh, "cache_read_input_tokens": spoken.cached_tokens, "cache_creation_input_tokens": 0}
    usage |= {"output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "scripted", "content": []}
    yield event("message_start", message={**message, "stop_reason": None, "stop_sequence": None, "usage": usage})
    index = 0
    yield event("ping")
    if spoken.thoughts:
        yield from _anthropic_thoughts(spoken, event)
        index += 1
    if spoken.text:
        yield event("content_block_start", index=index, content_block={"type": "text", "text": ""})
        for piece in spoken.text:
            yield event("content_block_delta", index=index, delta={"type": "text_delta", "text": piece})
        yield event("content_block_stop", index=index)
        index += 1
    if spoken.tool:
        block = {"type": "tool_use", "id": "toolu_1", "name": spoken.tool, "input": {}}
        yield event("content_block_start", index=index, content_block=block)
        for piece in spoken.arguments:
            yield event("content_block_delta", index=index, delta={"type": "input_json_delta", "partial_json": piece})
        yield event("content_block_stop", index=index)
    if not spoken.finished:
        return
    reason = "max_tokens" if spoken.cut else "tool_use" if spoken.tool else "end_turn"
    yield event(
        "message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage={**usage, "output_tokens": 5}
    )
    yield event("message_stop")


def _anthropic_thoughts(spoken: Spoken, event: Callable[..., bytes]) -> Iterator[bytes]:
    index = 0
    yield event("content_block_start", index=index, content_block={"type": "thinking", "thinking": "", "signature": ""})
    for piece in spoken.thoughts:
        yield event("content_block_delta", index=index, delta={"type": "thinking_delta", "thinking": piece})
    yield event("content_block_delta", index=index, delta={"type": "signature_delta", "signature": "c2ln"})
    yield event("content_block_stop", index=index)


def _google(spoken: Spoken) -> Iterator[bytes]:
    def chunk(parts: list[JSON], finish: str | None = None) -> bytes:
        candidate: JSON = {"content": {"role": "model", "parts": parts}, "index": 0}
        usage = {
            "promptTokenCount": spoken.input_tokens,
            "cachedContentTokenCount": spoken.cached_tokens,
            "candidatesTokenCount": 5,
            "totalTokenCount": spoken.input_tokens + 5,
        }
        if finish:
            candidate["finishReason"] = finish
        return _data({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "scripted"})

    for piece in spoken.thoughts:
        yield chunk([{"text": piece, "thought": True}])
    for piece in spoken.text:
        yield chunk([{"text": piece}])
    if spoken.picture:
        yield chunk([{"inlineData": {"mimeType": "image/png", "data": spoken.picture}}])
    if spoken.tool:
        # Gemini sends a call whole, its arguments as an object.
        yield chunk([{"functionCall": {"name": spoken.tool, "args": json.loads("".join(spoken.arguments))}}])
    if spoken.finished:
        yield chunk([{"text": ""}], "MAX_TOKENS" if spoken.cut else "STOP")


_WIRES = {"openai": _openai, "openrouter": _openai, "anthropic": _anthropic, "google": _google}


def tool_results(vendor: str, body: JSON) -> list[str]:
    """The tool results that a request carries back, each as text."""
    if vendor == "anthropic":
        blocks = [b for m in body["messages"] if isinstance(m["content"], list) for b in m["content"]]
        return [json.dumps(block["content"]) for block in blocks if block["type"] == "tool_result"]
    if vendor == "google":
        parts = [part for content in body["contents"] for part in content["parts"]]
        return [json.dumps(part["functionResponse"]["response"]) for part in parts if "functionResponse" in part]
    return [json.dumps(message["content"]) for message in body["messages"] if message["role"] == "tool"]


def longest_answer(vendor: str, body: JSON) -> int | None:
    """How many tokens of an answer a request allows."""
    if vendor == "google":
        body = body["generationConfig"]
    names = {"google": "maxOutputTokens", "openai": "max_completion_tokens"}
    return body.get(names.get(vendor, "max_tokens"))


def tool_schemas(vendor: str, body: JSON) -> dict[str, JSON]:
    """The offered tools' parameter schemas, by name."""
    if vendor == "anthropic":
        return {tool["name"]: tool["input_schema"] for tool in body["tools"]}
    if vendor == "google":
        declared = [each for tool in body["tools"] for each in tool["functionDeclarations"]]
        return {each["name"]: each.get("parametersJsonSchema") or each.get("parameters") or {} for each in declared}
    return {tool["function"]["name"]: tool["function"]["parameters"] for tool in body["tools"]}
