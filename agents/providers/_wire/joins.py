"""Two neighbouring events of a vendor's stream as one that says the same: one function for each wire format.

A join changes `first` and returns True, or leaves both as they are and returns False: whatever it does not know stays
an event of its own.
"""

from collections.abc import Callable
from typing import Any

JSON = dict[str, Any]
Join = Callable[[JSON, JSON], bool]

# Texts of a delta in OpenAI's format that only grow. `reasoning_content` is DeepSeek's name, `reasoning` OpenRouter's.
_OPENAI_TEXTS = frozenset({"content", "refusal", "reasoning", "reasoning_content"})
_OPENAI_DELTA = _OPENAI_TEXTS | {"role", "tool_calls", "reasoning_details"}
_OPENAI_CHOICE = frozenset({"index", "delta", "finish_reason", "native_finish_reason", "logprobs"})
_ANTHROPIC_TEXTS = {"text_delta": "text", "input_json_delta": "partial_json", "thinking_delta": "thinking"}
_GOOGLE_CANDIDATE = frozenset({"content", "index", "finishReason"})


def join_openai(first: JSON, second: JSON) -> bool:
    """Chat completions, also OpenRouter's. Figures of usage come once in a stream, with the end or behind it."""
    if "error" in second or not first.get("choices") or (first.get("usage") and second.get("usage")):
        return False
    if second.get("choices") and not _join_choices(first["choices"], second["choices"]):
        return False
    if second.get("choices") is None:
        return False
    first.update({key: value for key, value in second.items() if key != "choices" and value is not None})
    return True


def join_anthropic(first: JSON, second: JSON) -> bool:
    """Messages: deltas of the same kind within a content block."""
    if not first.get("type") == second.get("type") == "content_block_delta" or first["index"] != second["index"]:
        return False
    kind = first["delta"]["type"]
    name = _ANTHROPIC_TEXTS.get(kind)
    if name is None or second["delta"]["type"] != kind or set(second["delta"]) != {"type", name}:
        return False
    first["delta"][name] += second["delta"][name]
    return True


def join_google(first: JSON, second: JSON) -> bool:
    """Gemini's streamGenerateContent: texts of one kind. Its figures of usage are those of the stream so far."""
    one, other = _candidate(first), _candidate(second)
    if one is None or other is None or one.get("finishReason") or one.get("index") != other.get("index"):
        return False
    parts, more = one["content"]["parts"], other["content"]["parts"]
    if len(more) > 1 or not _join_parts(parts, more):
        return False
    first.update({key: value for key, value in second.items() if key != "candidates"})
    if "finishReason" in other:
        one["finishReason"] = other["finishReason"]
    return True


def _join_choices(ones: list[JSON], others: list[JSON]) -> bool:
    if len(ones) != 1 or len(others) != 1:
        return False
    one, other = ones[0], others[0]
    known = set(other) <= _OPENAI_CHOICE and not other.get("logprobs") and not one.get("logprobs")
    if not known or one.get("finish_reason") or one.get("index") != other.get("index"):
        return False
    if not _join_deltas(one["delta"], other["delta"]):
        return False
    one.update({key: value for key, value in other.items() if key != "delta"})
    return True


def _join_deltas(one: JSON, other: JSON) -> bool:
    given = {key: value for key, value in other.items() if value is not None}
    if not set(given) <= _OPENAI_DELTA or not _fits(one, given):
        return False
    for key, value in given.items():
        if key in _OPENAI_TEXTS:
            one[key] = (one.get(key) or "") + value
        elif key == "role":
            one[key] = value
        else:
            for piece in value:
                _grow(one, key, piece)
    return True


def _fits(one: JSON, given: JSON) -> bool:
    calls, thoughts = given.get("tool_calls") or [], given.get("reasoning_details") or []
    return all(_is_next_call(one, call) for call in calls) and all(_is_next_thought(one, each) for each in thoughts)


def _is_next_call(one: JSON, call: JSON) -> bool:
    """Whether a piece of a tool call begins one that `one` has not, or goes on with its last."""
    before = one.get("tool_calls") or []
    if "function" not in call or "index" not in call:
        return False
    if all(each["index"] != call["index"] for each in before):
        return True
    goes_on = not call.get("id") and not call["function"].get("name")
    return goes_on and bool(before[-1]["index"] == call["index"])


def _is_next_thought(one: JSON, thought: JSON) -> bool:
    """Whether a piece of OpenRouter's reasoning goes on with the last of `one`, or begins the first."""
    before = one.get("reasoning_details") or []
    text = _thought_text(thought)
    if not before:
        return True
    last = before[-1]
    return text is not None and {k: v for k, v in last.items() if k != text} == {
        k: v for k, v in thought.items() if k != text
    }


def _thought_text(thought: JSON) -> str | None:
    return {"reasoning.text": "text", "reasoning.summary": "summary"}.get(thought.get("type", ""))


def _grow(one: JSON, key: str, piece: JSON) -> None:
    """Add a piece that fits to the list under `key`."""
    before = one[key] = one.get(key) or []
    if key == "tool_calls" and any(each["index"] == piece["index"] for each in before):
        function = before[-1]["function"]
        function["arguments"] = (function.get("arguments") or "") + (piece["function"].get("arguments") or "")
    elif key == "reasoning_details" and before:
        text = _thought_text(piece) or ""
        before[-1][text] = (before[-1].get(text) or "") + (piece.get(text) or "")
    else:
        before.append(piece)


def _candidate(event: JSON) -> JSON | None:
    """The event's one candidate, when it has nothing but text."""
    candidates = event.get("candidates")
    if "error" in event or not isinstance(candidates, list) or len(candidates) != 1:
        return None
    (candidate,) = candidates
    parts = (candidate.get("content") or {}).get("parts")
    return candidate if parts and set(candidate) <= _GOOGLE_CANDIDATE else None


def _join_parts(parts: list[JSON], more: list[JSON]) -> bool:
    last, (new,) = parts[-1], more
    if not (set(last) == set(new) and set(new) <= {"text", "thought"} and "text" in new):
        return False
    if last.get("thought") != new.get("thought"):
        return False
    last["text"] += new["text"]
    return True
