"""Source: DESIGN.md, section 3: the frames that a client may send."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.turns import MAX_CONTENT_CHARS
from channels_app.frames import BadFrame, parse_frame, parse_object
from channels_app.protocol import client


def test_a_type_and_a_content_are_a_message() -> None:
    frame = parse_frame('{"type":"message","content":"Hello, AI!"}')

    assert frame == client.Message(type="message", content="Hello, AI!")


def test_a_message_may_say_everything_else_too() -> None:
    frame = parse_frame(
        '{"type":"message","content":"x","id":"1","conversation":"c","model":"m","when_busy":"steer","attachments":["u"]}'
    )

    assert isinstance(frame, client.Message)
    assert (frame.id, frame.conversation, frame.model) == ("1", "c", "m")
    assert (frame.when_busy, frame.attachments) == ("steer", ["u"])


def test_null_is_the_same_as_absent() -> None:
    frame = parse_frame(
        '{"type":"message","content":"x","id":null,"conversation":null,"model":null,"attachments":null}'
    )

    assert frame == client.Message(type="message", content="x")


def test_fields_of_a_newer_client_are_ignored() -> None:
    assert parse_frame('{"type":"ping","mood":"good"}') == client.Ping(type="ping")


def test_a_whole_number_may_be_written_with_a_point() -> None:
    assert parse_frame('{"type":"resume","turn":"t","after":3.0}') == client.Resume(type="resume", turn="t", after=3)


BAD = {
    "no object": "[]",
    "a bare text": '"message"',
    "no type": '{"content":"x"}',
    "an unknown type": '{"type":"attack"}',
    "a type that is no text": '{"type":["message"]}',
    "no content": '{"type":"message"}',
    "blank content": '{"type":"message","content":" \\n\\t"}',
    "content that is a number": '{"type":"message","content":5}',
    "content that is an object": '{"type":"message","content":{"a":1}}',
    "too long a content": json.dumps({"type": "message", "content": "x" * 32_001}),
    "an empty id": '{"type":"message","content":"x","id":""}',
    "an id that is a number": '{"type":"message","content":"x","id":7}',
    "an endless id": json.dumps({"type": "message", "content": "x", "id": "i" * 129}),
    "a policy that is none": '{"type":"message","content":"x","when_busy":"shout"}',
    "attachments that are a text": '{"type":"message","content":"x","attachments":"u"}',
    "a turn that is missing": '{"type":"cancel"}',
    "a negative number": '{"type":"resume","turn":"t","after":-1}',
    "a number as text": '{"type":"resume","turn":"t","after":"1"}',
    "a boolean for a number": '{"type":"resume","turn":"t","after":true}',
    "a fraction": '{"type":"resume","turn":"t","after":1.5}',
    "a decision that is none": '{"type":"decision","approval":"a","decision":"perhaps"}',
    "values that are a list": '{"type":"answer","question":"q","values":[]}',
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_a_frame_that_is_none_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(BadFrame) as refusal:
        parse_frame(text)

    assert refusal.value.message.endswith(".")


def test_the_refusal_names_the_field_and_carries_the_clients_id() -> None:
    with pytest.raises(BadFrame) as refusal:
        parse_frame('{"type":"resume","id":"r1","turn":"t","after":-1}')

    assert refusal.value.message.startswith("after: ")
    assert refusal.value.id == "r1"


def test_the_refusal_never_repeats_a_value() -> None:
    """A token could stand there."""
    with pytest.raises(BadFrame) as refusal:
        parse_frame('{"type":"authenticate","token":["secret-secret"]}')

    assert "secret" not in refusal.value.message


def test_the_longest_content_is_the_engines_own() -> None:
    assert client.MAX_CONTENT_CHARS == MAX_CONTENT_CHARS


def test_a_blank_message_is_told_that_it_is_empty() -> None:
    with pytest.raises(BadFrame, match=r"^content: It is empty\.$"):
        parse_frame('{"type": "message", "content": " \\n"}')


@given(st.text())
def test_any_text_is_a_frame_or_refused(text: str) -> None:
    with suppress(BadFrame):
        parse_frame(text)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
TYPES = st.sampled_from(
    ["message", "cancel", "resume", "decision", "answer", "history", "authenticate", "typing", "ping", "ready", ""]
)
FIELDS = st.sampled_from(["id", "content", "conversation", "turn", "after", "before", "token", "values", "attachments"])


@given(st.builds(lambda kind, rest: rest | {"type": kind}, TYPES, st.dictionaries(FIELDS, JSON_VALUES)))
def test_any_object_is_a_frame_or_refused(value: Any) -> None:
    with suppress(BadFrame):
        parse_object(value)
