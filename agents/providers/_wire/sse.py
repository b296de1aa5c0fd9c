"""Server-sent events in, fewer server-sent events out."""

import json
from typing import Any

import orjson

from agents.providers._wire.joins import Join

JSON = dict[str, Any]

# An answer's picture comes in one event of some megabytes.
MOST_EVENT_BYTES = 32 * 1024 * 1024


class EventTooLarge(ValueError):
    """The server sent an event without an end."""


class Event:
    """One event on its way: its bytes, and its JSON object (None for what is not to be touched)."""

    __slots__ = ("joined", "name", "raw", "value")

    def __init__(self, raw: bytes) -> None:
        self.raw, self.name, self.joined = raw, b"", False
        data = raw
        if raw.startswith(b"event:"):
            line, _, data = raw.partition(b"\n")
            self.name = line + b"\n"
        self.value = _object(data[5:]) if data.startswith(b"data:") and b"\n" not in data else None

    def data(self) -> bytes:
        """The event as it goes on."""
        if self.value is None or (self.raw.isascii() and not self.joined):
            return self.raw + b"\n\n"
        # In ASCII: Google's package splits lines where Unicode does, in the middle of a text with U+0085 or U+2028.
        return self.name + b"data: " + json.dumps(self.value, separators=(",", ":")).encode() + b"\n\n"


class Coalescer:
    """The bytes of one stream: each `feed` gives the events that are whole by then, neighbours joined.

    What is no JSON object on a single `data:` line goes through as it came.
    """

    def __init__(self, join: Join) -> None:
        self._join = join
        self._parts: list[bytes] = []
        self._bytes = 0

    def feed(self, data: bytes) -> list[Event]:
        """The events that end within `data`. Raises EventTooLarge."""
        seam = self._parts[-1][-3:] + data if self._parts else data
        self._parts.append(data)
        self._bytes += len(data)
        # A picture of megabytes comes in many reads, which are put together once.
        if b"\n\n" not in seam and b"\n\r\n" not in seam:
            if self._bytes > MOST_EVENT_BYTES:
                raise EventTooLarge
            return []
        data = b"".join(self._parts)
        # A CR at the end stays: its LF is the first byte of what comes next.
        lines = data.replace(b"\r\n", b"\n") if b"\r" in data else data
        whole, end, rest = lines.rpartition(b"\n\n")
        self._parts, self._bytes = [rest], len(rest)
        return self._joined(whole.split(b"\n\n")) if end else []

    def end(self) -> list[Event]:
        """What is left when the stream has ended."""
        rest, self._parts = b"".join(self._parts), []
        return [Event(rest)] if rest.strip() else []

    def _joined(self, raw: list[bytes]) -> list[Event]:
        events: list[Event] = []
        for event in map(Event, raw):
            if not events or not self._fits(events[-1], event):
                events.append(event)
        return events

    def _fits(self, last: Event, event: Event) -> bool:
        if last.value is None or event.value is None or last.name != event.name:
            return False
        try:
            joined = self._join(last.value, event.value)
        except (LookupError, TypeError, AttributeError, ValueError):
            # A shape that the format does not know is LangChain's to refuse.
            return False
        last.joined |= joined
        return joined


def _object(data: bytes) -> JSON | None:
    try:
        value = orjson.loads(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
