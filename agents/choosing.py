"""The model of a turn, bound to its tools, and those that stand in for it."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable

from agents.catalogue import Model
from agents.complexity import Ask, judge
from agents.errors import AgentFailed
from agents.estimates import PICTURE_TOKENS, text_tokens
from agents.harness_types import Emit, TurnRequest
from agents.mcp.tools import ToolSet
from agents.model_pool import model_pool
from agents.model_step import BoundModel
from agents.offers import offer
from agents.providers import ChatModel, switched_on
from agents.routing import Choice, Wishes, choose
from agents.standbys import Standbys
from agents.vendor_errors import VENDOR_ERRORS


async def chosen_model(request: TurnRequest, *, preferences: str, history: Sequence[dict[str, Any]] = ()) -> Choice:
    """Which model answers, and why: by wishes, licence, what is asked, and which models have troubles.

    `preferences` is the JSON text of the user's; `history` the conversation's stored messages. Raises AgentFailed.
    """
    wishes = Wishes(
        request.model, request.preferred_model, _preferred_model(preferences), settled=request.model_settled
    )
    pictures = sum(each.kind == "picture" for each in request.attached)
    ask = Ask(
        request.content,
        history_tokens=sum(text_tokens(str(message.get("content") or "")) for message in history),
        tokens=text_tokens(request.content) + PICTURE_TOKENS * pictures,
        attachments=len(request.attached),
        pictures=pictures,
    )
    shut = await request.circuits.open_targets()
    return choose(wishes, offer(request.licence), demand=judge(ask), shut=shut)


def standbys_of(
    choice: Choice, request: TurnRequest, *, bind: Callable[[Model], Awaitable[BoundModel]], emit: Emit
) -> Standbys:
    """What stands in for the chosen model in this turn; `bind` gives a model what it may call."""
    return Standbys(
        bind=bind,
        waiting=list(choice.others),
        circuits=request.circuits,
        emit=emit,
        attempt=request.attempt,
    )


async def bound_model(model: Model, *, tools: ToolSet, beside: Sequence[dict[str, Any]] = ()) -> BoundModel:
    """The model with the tools bound to it. Raises AgentFailed."""
    return await bound_by(model, lambda built: model_pool().with_tools(built, tools, beside=beside))


async def bound_by(model: Model, bind: Callable[[ChatModel], Runnable[Any, AIMessage]]) -> BoundModel:
    """The model, built, with what `bind` makes of it. Raises AgentFailed when its provider is off."""
    provider = switched_on().get(model.provider)
    endpoint = provider.endpoint() if provider else None
    if provider is None or endpoint is None:
        raise AgentFailed("no_model", f"{model.provider} was just switched off.", retryable=True)
    built = await model_pool().get(provider, model, endpoint)
    return BoundModel(bind(built), provider.label, (*VENDOR_ERRORS, *built.errors))


def _preferred_model(preferences: str) -> str | None:
    try:
        values = json.loads(preferences or "{}")
    except ValueError:
        return None
    model = values.get("model") if isinstance(values, dict) else None
    return model if isinstance(model, str) else None
