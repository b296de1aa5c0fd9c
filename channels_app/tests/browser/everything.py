"""A chat page that shows everything it can show, with the words of a test's choice in every place that takes words."""

from collections.abc import Sequence
from typing import Any

from channels_app.tests.browser.conftest import Chat
from channels_app.tests.browser.gateway_double import JSON, OTHER, Socket, talk, turn_id

# A PNG of one pixel.
DOT = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
LATER = "2099-01-01T00:00:00Z"
ANSWER = """# Findings

The **14-day RSI** of `SPX` is *58.3*, [as told](https://example.test/rsi).

| Measure | Value |
|:--|--:|
| Latest | 58.3 |

```python
x = 1
```

- [x] done
- [ ] open

> quoted $x_1$
"""


async def show_everything(chat: Chat, words: str, *, answer: str = ANSWER, images: Sequence[str] = (DOT,)) -> Socket:
    """Open the page; `words` stand in titles, names, arguments, results, errors and questions, `answer` is an answer."""
    chat.gateway.talks.items += [talk(OTHER, title=words)]
    stored = {"turn": turn_id(1), "role": "user", "content": words, "channel": "telegram", "attachments": [words]}
    call = {"id": "s", "name": words, "arguments": {words: words}}
    told: JSON = {"turn": turn_id(1), "role": "assistant", "content": answer, "model": words, "tool_calls": [call]}
    pictures = [{"url": image, "alt": words} for image in images]
    result: JSON = {
        "turn": turn_id(1),
        "role": "tool",
        "tool_call_id": "s",
        "content": answer,
        "images": pictures,
        "ms": 1,
    }
    trouble = {"code": "x", "message": words}
    ended = {"state": "failed", "usage": None, "ms": 5, "error": trouble}
    socket = await chat.open(items=(stored, told, result), turns={turn_id(1): ended})
    await _answer(socket, words, answer=answer, images=images)
    await _ask(socket, words)
    await socket.turn(4).emit("user_message", channel="web", content=words)
    await socket.turn(4, seq=1).emit("queued", position=2)
    await socket.send("status", state="starting", detail=words)
    await socket.send("error", code="x", message=words)
    return socket


async def _answer(socket: Socket, words: str, *, answer: str, images: Sequence[str]) -> None:
    turn = socket.turn(2)
    await turn.emit("user_message", channel=words, content=words)
    await turn.emit("started", model=words, reason=words, attempt=1)
    await turn.emit("tool_call", call="a", tool=words, arguments={words: [words, {words: words}]})
    await turn.emit("tool_progress", call="a", progress=1, total=3, message=words)
    await turn.emit("tool_result", call="a", tool=words, summary=words, ms=1, error=words)
    await turn.emit("tool_call", call="b", tool="get_bars", arguments={})
    for image in images:
        await turn.emit("image", url=image, alt=words)
    await turn.emit("notice", text=words)
    await turn.say(*answer)
    usage = {"input_tokens": 1, "cached_tokens": 0, "output_tokens": 1, "cost_usd": 0.1}
    await turn.emit("done", content=answer, model=words, usage=usage, ms=1)


async def _ask(socket: Socket, words: str) -> None:
    turn = socket.turn(3)
    fields: dict[str, Any] = {
        "name": {"type": "string", "title": words, "description": words},
        "size": {"type": "integer", "title": "Size"},
        "side": {"type": "string", "title": "Side", "enum": ["buy", words]},
    }
    await turn.emit("user_message", channel="web", content=words)
    details = {words: words, "list": [words], "deep": {"a": {"b": words}}, "number": 1.5, "yes": True}
    await turn.emit("approval", approval="a1", title=words, details=details, digest="d", expires_at=LATER)
    schema = {"type": "object", "properties": fields, "required": ["name"]}
    await turn.emit("question", question="q1", text=words, schema=schema, expires_at=LATER)
