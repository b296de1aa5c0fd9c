"""The events of a turn as frames: what agents.events writes into the journal, described for the schema.

Each carries `turn`, `conversation` and `seq`, a number that grows by one and never restarts within a turn.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

Count = Annotated[int, Field(ge=0)]


class EventFrame(BaseModel):
    """An event of a turn."""

    model_config = ConfigDict(frozen=True)

    turn: str
    conversation: str
    seq: Annotated[int, Field(ge=1)]


class UserMessage(EventFrame):
    """The question, first of all, so that other tabs see it; `attachments` are the names of its files, where it has any."""

    type: Literal["user_message"]
    channel: str
    content: str
    attachments: list[str] | SkipJsonSchema[None] = None


class Queued(EventFrame):
    """Others of the conversation come first."""

    type: Literal["queued"]
    position: Count


class Started(EventFrame):
    """A model (`provider/name`) answers; `reason` says why this one."""

    type: Literal["started"]
    model: str
    reason: str
    attempt: Annotated[int, Field(ge=1)]


class Token(EventFrame):
    """The next piece of the answer."""

    type: Literal["token"]
    content: str


class ToolCall(EventFrame):
    """A tool begins."""

    type: Literal["tool_call"]
    call: str
    tool: str
    arguments: dict[str, Any]


class ToolProgress(EventFrame):
    """How far a tool has come, in its own unit."""

    type: Literal["tool_progress"]
    call: str
    progress: float
    total: float | SkipJsonSchema[None] = None
    message: str | SkipJsonSchema[None] = None


class ToolResult(EventFrame):
    """A tool has ended, after `ms` milliseconds; `error` only when it failed."""

    type: Literal["tool_result"]
    call: str
    tool: str
    summary: str
    ms: Count
    error: str | SkipJsonSchema[None] = None


class Image(EventFrame):
    """A picture."""

    type: Literal["image"]
    url: str
    alt: str


class Approval(EventFrame):
    """Something waits for the user's decision until `expires_at` (ISO 8601)."""

    type: Literal["approval"]
    approval: str
    title: str
    details: dict[str, Any]
    digest: str
    expires_at: str


class ApprovalSettled(EventFrame):
    """An approval has its one outcome. `by_channel` is where it was decided: `gateway` by its time, blank when it was stopped."""

    type: Literal["approval_settled"]
    approval: str
    decision: Literal["approved", "rejected", "expired", "cancelled"]
    by_channel: str


class Question(EventFrame):
    """A tool asks, until `expires_at` (ISO 8601); `schema` is the JSON Schema of the answer's values, an object's."""

    type: Literal["question"]
    question: str
    text: str
    answer_schema: Annotated[dict[str, Any], Field(alias="schema")]
    expires_at: str


class QuestionSettled(EventFrame):
    """A question is no longer asked; `by_channel` as of an approval."""

    type: Literal["question_settled"]
    question: str
    outcome: Literal["answered", "declined", "expired", "cancelled"]
    by_channel: str


class Snapshot(EventFrame):
    """Replaces all text shown for the turn so far."""

    type: Literal["snapshot"]
    content: str


class Notice(EventFrame):
    """A remark beside the answer."""

    type: Literal["notice"]
    text: str


class Usage(BaseModel):
    """Tokens and their price in USD (null: unknown); cached tokens are part of the input tokens."""

    model_config = ConfigDict(frozen=True)

    input_tokens: Count
    cached_tokens: Count
    output_tokens: Count
    cost_usd: float | None


class Done(EventFrame):
    """The whole answer; `model` is null where none was asked. A final event."""

    type: Literal["done"]
    content: str
    model: str | None
    usage: Usage
    ms: Count


class Failed(EventFrame):
    """There is no answer, and why, in words for the user. A final event."""

    type: Literal["failed"]
    code: str
    message: str


class Cancelled(EventFrame):
    """The turn was stopped; `content` had been written. A final event."""

    type: Literal["cancelled"]
    content: str


EVENT_FRAMES: tuple[type[EventFrame], ...] = (
    UserMessage, Queued, Started, Token, ToolCall, ToolProgress, ToolResult, Image,
    Approval, ApprovalSettled, Question, QuestionSettled, Snapshot, Notice, Done, Failed, Cancelled,
)  # fmt: skip
FINAL_TYPES = frozenset({"done", "failed", "cancelled"})


def is_final(frame: str) -> bool:
    """Whether an event's frame, as text, is the last of its turn."""
    return json.loads(frame)["type"] in FINAL_TYPES
