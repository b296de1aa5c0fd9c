"""What the turn engine and the harness say to each other."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from accounts.licences import Licence
from agents.catalogue import Model
from agents.events import Event, Usage
from provisioning.stages import OnStage, StageReport

Emit = Callable[[Event], Awaitable[None]]


async def ignore_stage(_report: StageReport) -> None:
    """For a run of which nobody watches the workspace's start."""


class Meter(Protocol):
    """What each model call of a turn passes through: asked before it, told of it as it comes, and after it.

    A call that fails or is cancelled is not ended here: whoever runs the turn books what was heard of it.
    """

    async def begin(self, model: Model, *, prompt_tokens: int) -> None:
        """May the model be asked with so many tokens? Raises AgentFailed when licence or budget do not allow it now."""

    def heard(self, text: str) -> None:
        """The model has written `text`."""

    def took(self, usage: Usage) -> None:
        """The call failed, and what it took is known: nothing, where nothing of an answer came."""

    async def end(self, usage: Usage, *, tool_calls: int) -> None:
        """The call went well. A server that does not tell its usage gives none: what was seen of it is booked."""


class Unmetered:
    """For a run that nobody pays for."""

    async def begin(self, model: Model, *, prompt_tokens: int) -> None:
        """Always."""

    def heard(self, text: str) -> None:
        """Not of interest."""

    def took(self, usage: Usage) -> None:
        """Not of interest."""

    async def end(self, usage: Usage, *, tool_calls: int) -> None:
        """Not of interest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRequest:
    """One turn to run.

    `model` is the message's explicit choice and `preferred_model` the one its conversation has used, both as
    `provider/name` or None. `attempt` counts from 1. `on_stage` hears of the workspace's start, `meter` of
    each model call.
    """

    turn: str
    conversation: str
    user_id: str
    channel: str
    content: str
    licence: Licence
    model: str | None = None
    preferred_model: str | None = None
    attempt: int = 1
    on_stage: OnStage = ignore_stage
    meter: Meter = field(default_factory=Unmetered)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a turn ended well.

    `messages` are the turn's own, for `append_turn`: the user's, the agent's with its tool calls, the tools' results
    (capped), and last the answer.
    """

    content: str
    model: str
    usage: Usage = field(default_factory=Usage)
    messages: list[dict[str, Any]] = field(default_factory=list)
