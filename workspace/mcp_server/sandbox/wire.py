"""How requests and answers cross between the server and a job: frames of JSON and raw array bytes, never pickles.

A frame is its kind, the lengths of its two parts, a JSON object, and the bytes of the arrays and blobs that the object
lists under "parts" as [name, type, shape]. What a job sends is written by whoever's code it ran: `Intake` and the `read_`
functions bound every length before they believe it and raise nothing but BadFrame and TooLarge.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from mcp_server.jobs.contract import Result
from mcp_server.sandbox.jobs import Answer

if TYPE_CHECKING:
    import numpy as np

HEAD = struct.Struct("<BIQ")
REQUEST, PROGRESS, ANSWER, FAILURE = range(1, 5)

# Progress and failures: a sentence.
SHORT_BYTES = 8 * 1024
# Values are for people to read; a long table goes into arrays. What JSON can blow up to in memory is bounded with it.
VALUES_BYTES = 2 * 1024 * 1024
VALUES_NODES = 200_000
MOST_PARTS = 4096
LONGEST_NAME = 200
LONGEST_TEXT = 2000
# One job reports 20 times a second at most; this is 15 minutes of it.
MOST_REPORTS = 20_000

# numpy's codes by the name on the wire and by the format of a buffer (array.array's "d" and "q", Linux's "l").
DTYPES = {"float64": "<f8", "int64": "<i8", "bool": "|b1"}
FORMATS = {"d": "float64", "q": "int64", "l": "int64", "?": "bool"}
ITEM_BYTES = {"float64": 8, "int64": 8, "bool": 1, "bytes": 1}


class BadFrame(Exception):
    """What came is no frame of this protocol."""


class TooLarge(Exception):
    """A frame is longer than it may be."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message, its body not yet looked at."""

    kind: int
    head: bytes
    body: memoryview = field(default_factory=lambda: memoryview(b""))


def encode(kind: int, head: Mapping[str, Any], body: Iterable[memoryview] = ()) -> list[memoryview]:
    """The frame as buffers to write one after the other. Raises ValueError and TypeError for what JSON can't hold."""
    text = json.dumps(head, allow_nan=False, separators=(",", ":")).encode()
    parts = list(body)
    return [memoryview(HEAD.pack(kind, len(text), sum(part.nbytes for part in parts)) + text), *parts]


def encode_request(arguments: dict[str, Any], arrays: Mapping[str, Any]) -> list[memoryview]:
    """The request of a job; arrays are numpy's or array.array's."""
    parts, body = _parts(arrays, {})
    return encode(REQUEST, {"arguments": arguments, "parts": parts}, body)


def encode_result(result: Result) -> list[memoryview]:
    """The answer of a job."""
    parts, body = _parts(result.arrays, result.blobs)
    return encode(ANSWER, {"values": result.values, "parts": parts}, body)


def size(buffers: Iterable[memoryview]) -> int:
    """How many bytes these are together."""
    return sum(buffer.nbytes for buffer in buffers)


def _parts(
    arrays: Mapping[str, Any], blobs: Mapping[str, bytes]
) -> tuple[list[tuple[str, str, list[int]]], list[memoryview]]:
    listed: list[tuple[str, str, list[int]]] = []
    body: list[memoryview] = []
    for name, array in arrays.items():
        view = memoryview(array)
        if view.format not in FORMATS:
            raise TypeError(f"array {name!r} holds {view.format}, not float64, int64 or bool")
        listed.append((name, FORMATS[view.format], list(view.shape or ())))
        flat = view.cast("B") if view.c_contiguous and view.nbytes else memoryview(view.tobytes())
        body.append(flat)
    for name, blob in blobs.items():
        listed.append((name, "bytes", [len(blob)]))
        body.append(memoryview(blob))
    return listed, body


class Intake:
    """Puts a job's bytes together to frames, as far as a job may send any."""

    def __init__(self, *, output_bytes: int) -> None:
        self._output_bytes = output_bytes
        self._gathered = bytearray()
        self._reports = 0

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """The frames that this chunk completes."""
        self._gathered += chunk
        while len(self._gathered) >= HEAD.size:
            kind, head_bytes, body_bytes = HEAD.unpack_from(self._gathered)
            self._check(kind, head_bytes, body_bytes)
            whole = HEAD.size + head_bytes + body_bytes
            if len(self._gathered) < whole:
                return
            head = bytes(self._gathered[HEAD.size : HEAD.size + head_bytes])
            body = self._gathered[HEAD.size + head_bytes : whole]
            del self._gathered[:whole]
            self._reports += kind == PROGRESS
            if self._reports > MOST_REPORTS:
                raise BadFrame("too many reports")
            yield Frame(kind, head, memoryview(body).toreadonly())

    def _check(self, kind: int, head_bytes: int, body_bytes: int) -> None:
        if kind == ANSWER:
            if head_bytes > VALUES_BYTES or head_bytes + body_bytes > self._output_bytes:
                raise TooLarge
        elif kind not in {PROGRESS, FAILURE} or head_bytes > SHORT_BYTES or body_bytes:
            raise BadFrame("neither progress nor an answer")


@dataclass(frozen=True, slots=True)
class Failure:
    """What a job says went wrong."""

    kind: str
    message: str
    line: int | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job says it is."""

    done: float
    total: float | None
    text: str


def read_request(frame: Frame) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Arguments and read-only arrays, in the child. The server is trusted."""
    head = json.loads(frame.head)
    arrays, _ = _read_parts(head["parts"], frame.body)
    return head["arguments"], arrays


def read_answer(frame: Frame) -> Answer:
    """The answer. Raises BadFrame."""
    head = _object(frame.head)
    values, parts = head.get("values"), head.get("parts")
    if not isinstance(values, dict) or not isinstance(parts, list):
        raise BadFrame("an answer without values or parts")
    arrays, blobs = _read_parts(parts, frame.body)
    return Answer(values, arrays, blobs)


def read_progress(frame: Frame) -> Progress:
    """The report. Raises BadFrame."""
    head = _object(frame.head)
    total = head.get("total")
    return Progress(_number(head.get("done")), None if total is None else _number(total), _text(head.get("text")))


def read_failure(frame: Frame) -> Failure:
    """What went wrong, in the child's words. Raises BadFrame."""
    head = _object(frame.head)
    line = head.get("line")
    if line is not None and (type(line) is not int or not 0 < line < 1_000_000):
        raise BadFrame("no line number")
    return Failure(_text(head.get("kind")), _text(head.get("message")), line)


def _object(text: bytes) -> dict[str, Any]:
    if text.count(b",") + text.count(b"[") + text.count(b"{") > VALUES_NODES:
        raise BadFrame("too many values")
    try:
        found = json.loads(text.decode(), parse_constant=_no_constant, parse_float=_finite)
        # Half a surrogate pair can be written as an escape and would fail later, where the text is sent on.
        if b"\\u" in text:
            json.dumps(found, ensure_ascii=False).encode()
    # ValueError: no JSON, no UTF-8, a number of 5,000 digits, half a surrogate pair.
    except (ValueError, RecursionError) as error:
        raise BadFrame("no JSON") from error
    if not isinstance(found, dict):
        raise BadFrame("no JSON object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadFrame("no number")
    try:
        return float(value)
    except OverflowError as error:
        raise BadFrame("no number") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise BadFrame("no text")
    return "".join(each if each.isprintable() or each == "\n" else " " for each in value[:LONGEST_TEXT])


def _read_parts(parts: list[Any], body: memoryview) -> tuple[dict[str, np.ndarray], dict[str, bytes]]:
    if len(parts) > MOST_PARTS:
        raise BadFrame("too many parts")
    arrays: dict[str, np.ndarray] = {}
    blobs: dict[str, bytes] = {}
    start = 0
    for part in parts:
        name, kind, shape = _part(part)
        end = start + math.prod(shape) * ITEM_BYTES[kind]
        if end > len(body) or name in arrays or name in blobs:
            raise BadFrame("a part that is not there or is there twice")
        if kind == "bytes":
            blobs[name] = bytes(body[start:end])
        else:
            arrays[name] = _array(body, start=start, kind=kind, shape=shape)
        start = end
    if start != len(body):
        raise BadFrame("bytes that belong to no part")
    return arrays, blobs


def _part(part: object) -> tuple[str, str, list[int]]:
    match part:
        case [str(name), str(kind), list(shape)] if (
            len(name) <= LONGEST_NAME and kind in ITEM_BYTES and len(shape) <= 2
        ):
            if all(type(length) is int and 0 <= length <= 2**40 for length in shape):
                return name, kind, shape
    raise BadFrame("no part")


def _array(body: memoryview, *, start: int, kind: str, shape: list[int]) -> np.ndarray:
    """A read-only array over the body."""
    import numpy as np  # noqa: PLC0415 - 25 MB and 0.1 s that a server without arrays goes without

    count = math.prod(shape)
    if kind == "bool":
        # Any byte may have been sent; a numpy bool of another value than 0 and 1 has no meaning.
        found = np.frombuffer(body, np.uint8, count, start) != 0
        found.flags.writeable = False
    else:
        found = np.frombuffer(body, DTYPES[kind], count, start)
    shaped: np.ndarray = found.reshape(shape)
    return shaped
