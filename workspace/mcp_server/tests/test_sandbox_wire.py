"""What crosses between the server and a job, and what a job could make of it."""

from __future__ import annotations

import json
import math
from array import array
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_server.jobs.contract import Result
from mcp_server.sandbox import wire
from mcp_server.sandbox.jobs import Answer

OUTPUT_BYTES = 64 * 1024


def sent(buffers: list[memoryview]) -> bytes:
    return b"".join(buffers)


def frames_of(data: bytes, *, output_bytes: int = OUTPUT_BYTES) -> list[wire.Frame]:
    return list(wire.Intake(output_bytes=output_bytes).feed(data))


def answer_of(data: bytes) -> Answer:
    (frame,) = frames_of(data)
    return wire.read_answer(frame)


def forged(head: object, body: bytes = b"") -> bytes:
    """An answer frame as a job could write it."""
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return wire.HEAD.pack(wire.ANSWER, len(text), len(body)) + text + body


def test_an_answer_comes_back_as_it_was_sent() -> None:
    result = Result(
        values={"sharpe": 1.5, "text": "ü\n", "none": None},
        arrays={
            "weights": np.array([0.5, math.nan, -math.inf]),
            "times": np.arange(4, dtype=np.int64).reshape(2, 2),
            "held": np.array([True, False]),
            "empty": np.zeros(0),
        },
        blobs={"chart": b"\x89PNG", "nothing": b""},
    )

    answer = answer_of(sent(wire.encode_result(result)))

    assert answer.values == result.values
    assert answer.blobs == result.blobs
    assert list(answer.arrays) == list(result.arrays)
    for name, found in answer.arrays.items():
        np.testing.assert_array_equal(found, result.arrays[name])
        assert found.dtype == result.arrays[name].dtype
        assert not found.flags.writeable


def test_arrays_of_the_standard_library_and_slices_are_sent_too() -> None:
    arrays = {"plain": array("d", [1.0, 2.0]), "whole": array("q", [3]), "slice": np.arange(10.0)[::3]}
    (head, *body) = wire.encode_request({"a": 1}, arrays)
    data = bytes(head) + sent(body)
    kind, head_bytes, _ = wire.HEAD.unpack_from(data)
    text = data[wire.HEAD.size :][:head_bytes]

    arguments, read = wire.read_request(wire.Frame(kind, text, memoryview(data[wire.HEAD.size + head_bytes :])))

    assert arguments == {"a": 1}
    assert {name: found.tolist() for name, found in read.items()} == {
        "plain": [1.0, 2.0],
        "whole": [3],
        "slice": [0.0, 3.0, 6.0, 9.0],
    }
    with pytest.raises(ValueError, match="read-only"):
        read["plain"][0] = 5


@pytest.mark.parametrize(
    "array", [np.array(["x"], dtype=object), np.array([1.0], dtype=np.float32), np.array(["text"])]
)
def test_arrays_of_other_kinds_are_not_sent(array: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        wire.encode_result(Result({}, arrays={"odd": array}))


def test_values_without_a_json_form_are_not_sent() -> None:
    for value in (math.nan, object(), b"bytes", {1, 2}):
        with pytest.raises((TypeError, ValueError)):
            wire.encode_result(Result({"value": value}))


def test_frames_are_put_together_from_any_pieces() -> None:
    progress = sent(wire.encode(wire.PROGRESS, {"done": 1, "total": None, "text": "one"}))
    data = progress * 3 + sent(wire.encode_result(Result({"ended": True}, blobs={"b": b"x" * 1000})))
    intake = wire.Intake(output_bytes=OUTPUT_BYTES)

    kinds = [frame.kind for index in range(len(data)) for frame in intake.feed(data[index : index + 1])]

    assert kinds == [wire.PROGRESS] * 3 + [wire.ANSWER]


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b"{",
        b"[" * 100_000,
        b'{"values":' * 50_000,
        b'{"values":{"a":NaN},"parts":[]}',
        b'{"values":{"a":1e999},"parts":[]}',
        b'{"values":{"a":' + b"9" * 5000 + b'},"parts":[]}',
        b'{"values":{"a":"\\ud800"},"parts":[]}',
        b'{"values":[],"parts":[]}',
        b'{"values":{}}',
        b'{"values":{},"parts":{}}',
        b'{"values":{"a":[' + b"0," * wire.VALUES_NODES + b'0]},"parts":[]}',
    ],
)
def test_a_head_that_is_no_answer_is_named_so(head: bytes) -> None:
    (frame,) = frames_of(forged(head), output_bytes=wire.VALUES_BYTES)
    with pytest.raises(wire.BadFrame):
        wire.read_answer(frame)


@pytest.mark.parametrize(
    "parts",
    [
        [["a", "float64", [2]]],
        [["a", "float64", [-1]]],
        [["a", "float64", [0.5]]],
        [["a", "float64", [True]]],
        [["a", "float64", [2**70]]],
        [["a", "float64", [1, 1, 1]]],
        [["a", "object", [1]]],
        [["a", "bytes", [4]], ["a", "bytes", [4]]],
        [["a", "bytes", [4]]],
        [["a" * 500, "bytes", [8]]],
        [[1, "bytes", [8]]],
        [["a", "bytes"]],
        ["a"],
        [None],
        [],
        [["a" + str(n), "bytes", [0]] for n in range(wire.MOST_PARTS + 1)],
    ],
)
def test_parts_that_do_not_add_up_to_the_body_are_refused(parts: list[Any]) -> None:
    body = b"12345678"
    with pytest.raises(wire.BadFrame):
        wire.read_answer(wire.Frame(wire.ANSWER, json.dumps({"values": {}, "parts": parts}).encode(), memoryview(body)))


def test_a_bool_is_true_or_false_whatever_byte_was_sent() -> None:
    answer = answer_of(forged({"values": {}, "parts": [["a", "bool", [3]]]}, b"\x00\x01\x7f"))

    assert answer.arrays["a"].tobytes() == b"\x00\x01\x01"


def test_a_length_is_refused_before_its_bytes_are_gathered() -> None:
    for head_bytes, body_bytes in ((0, 2**63), (2**32 - 1, 0), (0, OUTPUT_BYTES + 1)):
        with pytest.raises(wire.TooLarge):
            frames_of(wire.HEAD.pack(wire.ANSWER, head_bytes, body_bytes))
    for kind in (0, wire.REQUEST, 77):
        with pytest.raises(wire.BadFrame):
            frames_of(wire.HEAD.pack(kind, 0, 0))
    with pytest.raises(wire.BadFrame):
        frames_of(wire.HEAD.pack(wire.PROGRESS, wire.SHORT_BYTES + 1, 0))


def test_a_flood_of_reports_has_an_end() -> None:
    report = sent(wire.encode(wire.PROGRESS, {"done": 1, "total": 2, "text": ""}))
    with pytest.raises(wire.BadFrame, match="too many reports"):
        frames_of(report * (wire.MOST_REPORTS + 1))


@pytest.mark.parametrize(
    "head", [{}, {"done": "1"}, {"done": True}, {"done": 10**400}, {"done": 1, "total": [], "text": ""}]
)
def test_a_report_that_says_no_number_is_refused(head: dict[str, Any]) -> None:
    with pytest.raises(wire.BadFrame):
        wire.read_progress(wire.Frame(wire.PROGRESS, json.dumps(head).encode()))


def test_text_from_a_job_has_no_control_characters_and_an_end() -> None:
    frame = wire.Frame(wire.FAILURE, json.dumps({"kind": "fault", "message": "a\x1b[2J\u202eb" + "x" * 9999}).encode())

    failure = wire.read_failure(frame)

    assert failure.message.startswith("a [2J b")
    assert len(failure.message) == wire.LONGEST_TEXT


@given(st.binary(max_size=400))
def test_any_bytes_are_a_frame_or_named(data: bytes) -> None:
    read_all(data)


@given(st.sampled_from([wire.PROGRESS, wire.ANSWER, wire.FAILURE]), st.binary(max_size=200), st.binary(max_size=50))
def test_any_head_and_body_are_read_or_named(kind: int, head: bytes, body: bytes) -> None:
    read_all(wire.HEAD.pack(kind, len(head), len(body)) + head + body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
part_like = st.tuples(
    st.text(max_size=3), st.sampled_from(["float64", "bool", "bytes", "x"]), st.lists(st.integers(-1, 9))
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "values": json_values | st.just({}),
            "parts": st.lists(part_like | json_values, max_size=4),
            **dict.fromkeys(("done", "total", "text", "kind", "message", "line"), json_values),
        },
    ),
    st.binary(max_size=64),
)
def test_any_json_is_read_or_named(head: dict[str, Any], body: bytes) -> None:
    text = json.dumps(head).encode()
    for kind in (wire.PROGRESS, wire.ANSWER, wire.FAILURE):
        read_all(wire.HEAD.pack(kind, len(text), len(body)) + text + body)


def read_all(data: bytes) -> None:
    """Read as the server does. Whatever is no protocol is BadFrame or TooLarge; all else would end the server's thread."""
    readers: dict[int, Any] = {
        wire.PROGRESS: wire.read_progress,
        wire.ANSWER: wire.read_answer,
        wire.FAILURE: wire.read_failure,
    }
    try:
        for frame in frames_of(data):
            read = readers[frame.kind](frame)
            if isinstance(read, Answer):
                json.dumps(read.values, allow_nan=False, ensure_ascii=False).encode()
    except (wire.BadFrame, wire.TooLarge):
        return
