"""A turn's messages as a workspace takes them: none too long, not too many, all of them in one request. Pure."""

import json
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from agents.mcp.limits import capped

JSON = dict[str, Any]

# The workspace takes 256 KiB a message, which it counts as JSON with the time that it adds; see its MESSAGE_BYTES.
MESSAGE_BYTES = 240 * 1024
# It takes 200 messages in one call, and 4 MiB; past 1 MiB aiohttp warns that sending holds up the loop.
TURN_BYTES = 900 * 1024
MOST_MESSAGES = 200

SHORTENED = "\n\n[shortened]"
# What was asked is told in short, whatever else of a turn is refused.
ASKED_BYTES = 4 * 1024
NOT_KEPT = "[This answer could not be kept.]"

# What a message is not without; the rest only tells more of it.
_NEEDED = frozenset({"role", "content", "tool_call_id"})


def kept(messages: Sequence[JSON]) -> list[JSON]:
    """The messages as far as they fit: the question stays, of too many the newest, and long texts end in `[shortened]`."""
    chosen = [*messages] if len(messages) <= MOST_MESSAGES else [messages[0], *messages[1 - MOST_MESSAGES :]]
    whole = [_fitting(message, room=MESSAGE_BYTES) for message in chosen]
    if sum(map(_bytes, whole)) <= TURN_BYTES:
        return whole
    return [_fitting(message, room=TURN_BYTES // len(chosen)) for message in chosen]


def stand_in(messages: Sequence[JSON]) -> list[JSON]:
    """What is kept of a turn that is refused: what was asked, and that its answer is not kept."""
    asked = [
        capped(str(each.get("content", "")), limit_bytes=ASKED_BYTES) for each in messages if each["role"] == "user"
    ]
    return [*({"role": "user", "content": text} for text in asked[:1]), {"role": "assistant", "content": NOT_KEPT}]


def _fitting(message: JSON, *, room: int) -> JSON:
    """The message in at most `room` bytes of JSON: its calls lose their arguments before its text is cut."""
    if _bytes(message) <= room:
        return message
    shorter = dict(message)
    if "tool_calls" in message:
        shorter["tool_calls"] = [{**call, "arguments": {}} for call in message["tool_calls"]]
    if _bytes({**shorter, "content": ""}) > room // 2:
        shorter = {name: value for name, value in message.items() if name in _NEEDED}
    content = str(message["content"])
    if _bytes(shorter) > room:
        shorter["content"] = _cut(content, room=room - _bytes({**shorter, "content": SHORTENED}))
    return shorter


def _cut(text: str, *, room: int) -> str:
    """As many of the first characters as take `room` bytes in JSON, with a mark."""
    # A character takes a byte at least.
    most = text[:room]
    length = bisect_right(range(1, len(most) + 1), room, key=lambda end: _bytes(most[:end]) - 2)
    return most[:length] + SHORTENED


def _bytes(value: Any) -> int:
    """The size in JSON, as the workspace counts it."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
