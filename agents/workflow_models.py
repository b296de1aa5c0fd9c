"""The model that a workflow asks, chosen as for any turn."""

from collections.abc import Sequence
from typing import Any

from agents.errors import AgentFailed
from agents.harness_types import TurnRequest
from agents.mcp.preferences import read_preferences
from agents.model_pool import model_pool
from agents.model_step import BoundModel
from agents.offers import offer
from agents.providers import switched_on
from agents.routing import Choice, Wishes, choose
from agents.vendor_errors import VENDOR_ERRORS


async def chosen_model(request: TurnRequest) -> Choice:
    """Which model, and why. Raises AgentFailed."""
    preferred = (await read_preferences(request.licence)).model
    return choose(Wishes(request.model, request.preferred_model, preferred), offer(request.licence))


async def bound_model(choice: Choice, tools: Sequence[dict[str, Any]]) -> BoundModel:
    """The model with these tools alone (definitions in OpenAI's format). Raises AgentFailed."""
    provider = switched_on()[choice.model.provider]
    endpoint = provider.endpoint()
    if endpoint is None:
        raise AgentFailed("no_model", f"{provider.label} was just switched off.", retryable=True)
    built = await model_pool().get(provider, choice.model.name, endpoint)
    runnable = built.chat.bind_tools(list(tools)) if tools else built.chat
    return BoundModel(runnable, provider.label, (*VENDOR_ERRORS, *built.errors))
