"""The model that a workflow asks, chosen as for any turn."""

from collections.abc import Sequence
from typing import Any

from agents.choosing import bound_by
from agents.harness_types import TurnRequest
from agents.mcp.preferences import read_preferences
from agents.model_step import BoundModel
from agents.offers import offer
from agents.routing import Choice, Wishes, choose


async def chosen_model(request: TurnRequest) -> Choice:
    """Which model, and why. Raises AgentFailed."""
    preferred = (await read_preferences(request.licence)).model
    return choose(Wishes(request.model, request.preferred_model, preferred), offer(request.licence))


async def bound_model(choice: Choice, tools: Sequence[dict[str, Any]]) -> BoundModel:
    """The model with these tools alone (definitions in OpenAI's format). Raises AgentFailed."""
    return await bound_by(choice.model, lambda built: built.chat.bind_tools(list(tools)) if tools else built.chat)
