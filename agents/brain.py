"""The seam between the turn engine and what thinks: run a turn, and store its messages."""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from accounts.licences import Licence
from agents.harness_types import Answer, Emit, Talk, TurnRequest
from agents.waiting import Waits


async def nothing_to_sum_up(_talk: Talk) -> None:
    """For an agent that keeps no summaries."""


@dataclass(frozen=True, slots=True)
class Brain:
    """What the engine needs of an agent.

    `run` answers a turn, ends the attempt by waiting for the user (agents.waiting), or raises AgentFailed. `remember` gives
    a finished turn's messages to the user's workspace (licence, conversation, turn, messages), again and again without harm,
    or raises AgentFailed.
    `summarise` sums up a conversation whose answer said that it is due; it tells of its failures itself.
    """

    run: Callable[[TurnRequest, Emit], Coroutine[Any, Any, Answer | Waits]]
    remember: Callable[[Licence, str, str, list[dict[str, Any]]], Awaitable[None]]
    summarise: Callable[[Talk], Coroutine[Any, Any, None]] = nothing_to_sum_up


def live_brain() -> Brain:
    """The harness and the user's workspace."""
    from agents.harness import run_agent, summarise  # noqa: PLC0415 - the agent libraries are slow to import
    from agents.history import append_turn  # noqa: PLC0415

    return Brain(run=run_agent, remember=append_turn, summarise=summarise)
