"""The words of ASGI that a chat socket uses."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from channels_app.socket.closing import Close

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]


def header_values(scope: Scope, name: bytes) -> list[str]:
    """Every value of a header, e.g. of `b"origin"`."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


def accept_event(subprotocol: str | None) -> Event:
    """Accept the upgrade."""
    return {"type": "websocket.accept", "subprotocol": subprotocol}


def text_event(text: str) -> Event:
    """Send a text frame."""
    return {"type": "websocket.send", "text": text}


def close_event(close: Close) -> Event:
    """Close the socket."""
    return {"type": "websocket.close", "code": close.code, "reason": close.reason}
