"""What the turn engine and the harness say to each other."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from accounts.licences import Licence
from agents.events import Event, Usage
from provisioning.stages import OnStage, StageReport

Emit = Callable[[Event], Awaitable[None]]


async def ignore_stage(_report: StageReport) -> None:
    """For a run of which nobody watches the workspace's start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRequest:
    """One turn to run.

    `model` is the message's explicit choice and `preferred_model` the one its conversation has used, both as
    `provider/name` or None. `attempt` counts from 1. `on_stage` hears of the workspace's start.
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
