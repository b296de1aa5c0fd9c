"""What happens in a turn: one frozen record for each event frame of the protocol."""

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

JSON = dict[str, Any]

# A field with this metadata is left out of the frame while it is None; every other field is always sent.
_OPTIONAL = {"optional": True}


@dataclass(frozen=True, slots=True)
class Usage:
    """What a turn's model calls used, in tokens. `cached_tokens` are part of `input_tokens`; no known price = None."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None

    def __add__(self, other: "Usage") -> "Usage":
        """The sum; its cost is known only when both are."""
        cost = None if self.cost_usd is None or other.cost_usd is None else self.cost_usd + other.cost_usd
        return Usage(
            self.input_tokens + other.input_tokens,
            self.cached_tokens + other.cached_tokens,
            self.output_tokens + other.output_tokens,
            cost,
        )

    def payload(self) -> JSON:
        """The protocol's `usage` object."""
        return {name.name: getattr(self, name.name) for name in fields(self)}


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `type` is the frame's; after a `final` one the turn has no more."""

    type: ClassVar[str]
    final: ClassVar[bool] = False

    def payload(self) -> JSON:
        """The frame's own fields, without `turn`, `conversation` and `seq`."""
        values: JSON = {}
        for spec in fields(self):
            value = getattr(self, spec.name)
            if value is None and spec.metadata.get("optional"):
                continue
            values[spec.name] = value.payload() if isinstance(value, Usage) else value
        return values


@dataclass(frozen=True, slots=True)
class UserMessage(Event):
    """The user's words, first of all, so that other tabs see the question; `attachments` are the names of its files."""

    type: ClassVar[str] = "user_message"
    channel: str
    content: str
    attachments: list[str] | None = field(default=None, metadata=_OPTIONAL)


@dataclass(frozen=True, slots=True)
class Queued(Event):
    """The turn waits for `position` others of its conversation."""

    type: ClassVar[str] = "queued"
    position: int


@dataclass(frozen=True, slots=True)
class Started(Event):
    """A model was chosen (`provider/name`) and why; `attempt` counts from 1."""

    type: ClassVar[str] = "started"
    model: str
    reason: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Token(Event):
    """The next piece of the answer's text."""

    type: ClassVar[str] = "token"
    content: str


@dataclass(frozen=True, slots=True)
class ToolCall(Event):
    """The agent calls a tool, under its plain name."""

    type: ClassVar[str] = "tool_call"
    call: str
    tool: str
    arguments: JSON


@dataclass(frozen=True, slots=True)
class ToolProgress(Event):
    """How far a running tool has come, in the tool's own unit."""

    type: ClassVar[str] = "tool_progress"
    call: str
    progress: float
    total: float | None = field(default=None, metadata=_OPTIONAL)
    message: str | None = field(default=None, metadata=_OPTIONAL)


@dataclass(frozen=True, slots=True)
class ToolResult(Event):
    """A tool has ended, after `ms` milliseconds; `error` is a sentence when it failed."""

    type: ClassVar[str] = "tool_result"
    call: str
    tool: str
    summary: str
    ms: int
    error: str | None = field(default=None, metadata=_OPTIONAL)


@dataclass(frozen=True, slots=True)
class Image(Event):
    """A picture for the user."""

    type: ClassVar[str] = "image"
    url: str
    alt: str


@dataclass(frozen=True, slots=True)
class Approval(Event):
    """The user must approve or reject what `digest` (SHA-256, hex) covers, until `expires_at` (ISO 8601)."""

    type: ClassVar[str] = "approval"
    approval: str
    title: str
    details: JSON
    digest: str
    expires_at: str


@dataclass(frozen=True, slots=True)
class ApprovalSettled(Event):
    """An approval has its one outcome: approved, rejected, expired or cancelled; `by_channel` names where it was decided."""

    type: ClassVar[str] = "approval_settled"
    approval: str
    decision: str
    by_channel: str


@dataclass(frozen=True, slots=True)
class Question(Event):
    """A tool asks the user, until `expires_at` (ISO 8601); `schema` is the JSON Schema of the answer's values."""

    type: ClassVar[str] = "question"
    question: str
    text: str
    schema: JSON
    expires_at: str


@dataclass(frozen=True, slots=True)
class QuestionSettled(Event):
    """A question is no longer asked: it was answered, declined, expired or cancelled."""

    type: ClassVar[str] = "question_settled"
    question: str
    outcome: str
    by_channel: str


@dataclass(frozen=True, slots=True)
class Snapshot(Event):
    """Replaces all text shown for the turn so far."""

    type: ClassVar[str] = "snapshot"
    content: str


@dataclass(frozen=True, slots=True)
class Notice(Event):
    """A remark beside the answer, not part of it."""

    type: ClassVar[str] = "notice"
    text: str


@dataclass(frozen=True, slots=True)
class Done(Event):
    """The whole answer. `model` is None when none was asked (a command); `ms` since the turn was accepted."""

    type: ClassVar[str] = "done"
    final: ClassVar[bool] = True
    content: str
    model: str | None = None
    usage: Usage = Usage()
    ms: int = 0


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """The turn ended without an answer; `message` is written for the user."""

    type: ClassVar[str] = "failed"
    final: ClassVar[bool] = True
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Cancelled(Event):
    """The turn was stopped; `content` is what had been written."""

    type: ClassVar[str] = "cancelled"
    final: ClassVar[bool] = True
    content: str
