"""Source: DESIGN.md, section 3: a JSON Schema of all frames that tests check both ways."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import events
from agents.journal.slices import slice_of
from agents.writer import encode
from channels_app.frames import BadFrame, parse_object
from channels_app.protocol import schema, server
from channels_app.protocol.events import EVENT_FRAMES, FINAL_TYPES
from channels_app.tests.schemas import PUBLISHED, check_server_frame, is_client_frame
from channels_app.tests.test_frames import BAD, JSON_VALUES

GOOD: list[dict[str, Any]] = [
    {"type": "message", "content": "Hello, AI!"},
    {"type": "message", "content": "x", "id": "1", "conversation": "c", "model": "m", "attachments": ["u"]},
    {"type": "message", "content": "x", "id": None, "when_busy": "interrupt"},
    {"type": "cancel", "turn": "t", "id": "1"},
    {"type": "resume", "turn": "t", "after": 0},
    {"type": "decision", "approval": "a", "decision": "approve"},
    {"type": "decision", "approval": "a", "decision": "reject", "comment": "no"},
    {"type": "answer", "question": "q", "values": {"a": [1, {"b": None}]}},
    {"type": "history", "conversation": "c"},
    {"type": "history", "conversation": "c", "before": 17},
    {"type": "authenticate", "token": "t"},
    {"type": "typing"},
    {"type": "ping", "new": 1},
]
ENDINGS = {
    "t": server.Ending(state="failed", usage=None, ms=5, error=server.Trouble(code="c", message="m")),
}
SERVER = [
    server.Ready(user_id="u", licence="pro", model="", conversation="c", running=["t"]),
    server.Status(state="starting", detail="…"),
    server.Accepted(id=None, turn="t", conversation="c", position=0),
    server.HistoryPage(conversation="c", items=[{"role": "user"}], before=None, turns=ENDINGS),
    server.Error(code="invalid", message="No."),
    server.Error(code="queue_full", message="No.", retry_after_s=1, id="1"),
    server.Expiring(seconds=60),
    server.Pong(),
]
EVENTS = [
    events.UserMessage("web", "hi"),
    events.Queued(1),
    events.Started("demo/demo", "why", 1),
    events.Token("x"),
    events.ToolCall("1", "get_bars", {"symbol": "SPX"}),
    events.ToolProgress("1", 0.5),
    events.ToolProgress("1", 0.5, 1, "half"),
    events.ToolResult("1", "get_bars", "252 bars", 12),
    events.ToolResult("1", "get_bars", "", 12, "It failed."),
    events.Image("/x.png", "a chart"),
    events.Approval("a", "Deploy", {}, "00", "2026-01-01T00:00:00Z"),
    events.ApprovalSettled("a", "approved", "web"),
    events.Question("q", "Which?", {"type": "object"}, "2026-01-01T00:00:00Z"),
    events.QuestionSettled("q", "answered", "web"),
    events.Snapshot(""),
    events.Notice("…"),
    events.Done("answer", "demo/demo", events.Usage(1, 0, 1, 0.1), 5),
    events.Done("answer"),
    events.Failed("provider_unavailable", "Sorry."),
    events.Cancelled("so f"),
]


def test_the_published_schema_is_the_one_of_the_code() -> None:
    """Make it anew with `python -m channels_app.protocol > docs/protocol.schema.json`."""
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == schema.document()


@pytest.mark.parametrize("frame", SERVER, ids=lambda frame: frame.type)
def test_a_frame_of_the_socket_is_in_the_schema(frame: Any) -> None:
    check_server_frame(json.loads(frame.text()))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_an_event_of_the_engine_is_in_the_schema(event: Any) -> None:
    check_server_frame(json.loads(slice_of([encode(event, "t", "c")], first=1).frames[0]))


def test_every_event_of_the_engine_was_tried_and_no_other_is_in_the_schema() -> None:
    kinds = {get_args(kind.model_fields["type"].annotation)[0] for kind in EVENT_FRAMES}

    assert {event.type for event in EVENTS} == kinds == {kind.type for kind in events.Event.__subclasses__()}
    assert {kind.type for kind in events.Event.__subclasses__() if kind.final} == FINAL_TYPES


@pytest.mark.parametrize("frame", GOOD, ids=lambda frame: frame["type"])
def test_a_good_frame_is_good_for_both(frame: Any) -> None:
    parse_object(frame)

    assert is_client_frame(frame)


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_a_bad_frame_is_bad_for_both(text: str) -> None:
    assert not is_client_frame(json.loads(text))


def _mutated(frame: Any, changes: dict[str, Any], dropped: set[str]) -> dict[str, Any]:
    return {key: value for key, value in (frame | changes).items() if key not in dropped}


FIELD_NAMES = sorted({key for frame in GOOD for key in frame})
EDGES = ["", " ", "x", "\0", "x\n", "x" * 129, 0, -1, 1.0, 1.5, 2**53, 2**53 - 1, True, [], ["u"], {}]
VALUES = JSON_VALUES | st.sampled_from(EDGES)


@given(
    st.builds(
        _mutated,
        st.sampled_from(GOOD),
        st.dictionaries(st.sampled_from(FIELD_NAMES), VALUES, max_size=3),
        st.sets(st.sampled_from(FIELD_NAMES), max_size=2),
    )
)
def test_the_schema_and_the_server_agree_on_every_frame(value: Any) -> None:
    try:
        parse_object(value)
    except BadFrame:
        assert not is_client_frame(value)
    else:
        assert is_client_frame(value)
