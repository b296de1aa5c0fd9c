"""Server-sent events in, fewer server-sent events out."""

from typing import Any

import orjson

from agents.providers._wire.joins import Join

JSON = dict[str, Any]

# An answer's picture comes in one event of some megabytes.
MOST_EVENT_BYTES = 32 * 1024 * 1024


class EventTooLarge(ValueError):
    """The server sent an event without an end."""


class Coalescer:
    """The bytes of one stream: each `feed` gives the events that are whole by then, neighbours joined.

    What is no JSON object on a single `data:` line goes through as it came.
    """

    def __init__(self, join: Join) -> None:
        self._join = join
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """The events that end within `data`. Raises EventTooLarge."""
        whole, end, self._rest = _unix(self._rest + data).rpartition(b"\n\n")
        if len(self._rest) > MOST_EVENT_BYTES:
            raise EventTooLarge
        return self._joined(whole.split(b"\n\n")) if end else b""

    def end(self) -> bytes:
        """What is left when the stream has ended."""
        rest, self._rest = self._rest, b""
        return rest

    def _joined(self, events: list[bytes]) -> bytes:
        pieces: list[_Piece] = []
        for event in events:
            piece = _piece(event)
            last = pieces[-1] if pieces else None
            if piece.value is None or last is None or last.value is None or not self._fits(last, piece):
                pieces.append(piece)
        return b"".join(piece.data() for piece in pieces)

    def _fits(self, last: "_Piece", piece: "_Piece") -> bool:
        if last.value is None or piece.value is None or last.name != piece.name:
            return False
        try:
            last.joined |= (joined := self._join(last.value, piece.value))
        except (LookupError, TypeError, AttributeError):
            # Events of a shape that the format does not know are the package's to refuse.
            return False
        return joined


class _Piece:
    """One event on its way; `value` is its JSON object, None for what is not to be touched."""

    __slots__ = ("_raw", "joined", "name", "value")

    def __init__(self, raw: bytes, name: bytes, value: JSON | None) -> None:
        self._raw, self.name, self.value, self.joined = raw, name, value, False

    def data(self) -> bytes:
        if not self.joined:
            return self._raw + b"\n\n"
        return self.name + b"data: " + orjson.dumps(self.value) + b"\n\n"


def _piece(event: bytes) -> _Piece:
    name, data = b"", event
    if event.startswith(b"event:"):
        line, _, data = event.partition(b"\n")
        name = line + b"\n"
    if not data.startswith(b"data:") or b"\n" in data:
        return _Piece(event, name, None)
    try:
        value = orjson.loads(data[5:])
    except ValueError:
        value = None
    return _Piece(event, name, value if isinstance(value, dict) else None)


def _unix(data: bytes) -> bytes:
    """Lines ended as on Unix. A CR at the end waits: its LF may be the first byte of what comes next."""
    return data.replace(b"\r\n", b"\n") if b"\r" in data else data
