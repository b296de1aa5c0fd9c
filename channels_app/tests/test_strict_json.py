"""Source: what Python's json lets through, or stumbles over, must be an answer and never a traceback."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels_app.strict_json import BadJSON, loads

HOSTILE = {
    "a constant that is not JSON": '{"a": NaN}',
    "an infinity": '{"a": -Infinity}',
    "a number beyond every float": '{"a": 1e999}',
    "an integer of 5,000 digits": '{"a": ' + "9" * 5000 + "}",
    "a key given twice": '{"a": 1, "a": 2}',
    "a key given twice, deeper": '{"x": [{"a": 1, "a": 2}]}',
    "a lone surrogate": '{"a": "\\ud800"}',
    "a lone surrogate in a list in a list": '[["\\udfff"]]',
    "a lone surrogate as a key": '{"\\ud800": 1}',
    "a NUL": '{"a": "x\\u0000y"}',
    "a NUL as a key": '{"\\u0000": 1}',
    "10,000 open brackets": "[" * 10_000,
    "10,000 brackets": "[" * 10_000 + "]" * 10_000,
    "65 levels": "[" * 66 + "]" * 66,
    "nothing": "",
    "two values": "1 2",
    "a byte order mark": "\ufeff{}",
    "bytes that are not UTF-8": b'{"a": "\xff"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_no_database_or_peer_could_hold_is_refused(text: str) -> None:
    with pytest.raises(BadJSON) as refusal:
        loads(text)

    assert str(refusal.value).endswith(".")


def test_ordinary_json_is_read_as_it_is() -> None:
    value = {"type": "message", "content": "Grüße 👋", "n": [1, 2.5, None, True], "o": {"a": {"b": []}}}

    assert loads(json.dumps(value)) == value
    assert loads(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(BadJSON):
        loads(text)


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(BadJSON):
        loads(data)
