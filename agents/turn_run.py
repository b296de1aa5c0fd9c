"""A turn from its request to its answer: workspace, context, model, agent."""

import json
from datetime import UTC, datetime
from typing import Any

import structlog
from langchain_core.messages import AnyMessage, HumanMessage, SystemMessage

from agents.agent_loop import Run, run_loop
from agents.aside import aside_text, summary_text
from agents.context import Context, Looking, gather
from agents.errors import AgentFailed
from agents.estimates import tool_tokens
from agents.events import Started
from agents.handover import HandOver, definition, offered_workflows
from agents.harness_types import Answer, Emit, Handed, TurnRequest
from agents.mcp.errors import CallFailed, workspace_failure
from agents.mcp.pool import pool
from agents.mcp.tools import ToolSet
from agents.model_pool import model_pool
from agents.model_step import BoundModel
from agents.offers import offer
from agents.prompt_marks import as_aside, as_kept
from agents.prompts import prompt
from agents.providers import switched_on
from agents.routing import Choice, Wishes, choose
from agents.summary_due import is_due
from agents.tool_step import Toolbox
from agents.transcript import recalled, said_by_user, stored
from agents.vendor_errors import VENDOR_ERRORS
from agents.window import history_budget
from agents.workflows import Workflow

log = structlog.get_logger(__name__)
JSON = dict[str, Any]

SYSTEM = prompt("system")


async def run_turn(request: TurnRequest, emit: Emit) -> Answer | Handed:
    """See `agents.harness.run_agent`."""
    session = pool().session(request.licence, on_stage=request.on_stage)
    try:
        tools = await session.tools()
        look = Looking(session, tools, request.user_id, request.content)
        context = await gather(look, conversation=request.conversation)
    except CallFailed as error:
        raise workspace_failure(error) from error
    choice = choose(_wishes(request, context), offer(request.licence))
    await emit(Started(choice.model.spec, choice.reason, request.attempt))
    log.info(
        "turn_started",
        model=choice.model.spec,
        prompts=[SYSTEM.label, prompt("context").label],
        tools=tools.digest[:12],
    )
    offered = offered_workflows(request.licence)
    run = Run(
        model=await _bound(choice, tools, offered),
        listed=choice.model,
        toolbox=Toolbox(session, tools, emit),
        system=as_kept(SystemMessage(SYSTEM.text)),
        meter=request.meter,
        more=request.more,
        tool_tokens=tool_tokens(tools),
        workflows=offered,
    )
    budget = history_budget(choice.model, tool_tokens=run.tool_tokens)
    try:
        added = await run_loop(run, _messages(context, request, budget=budget))
    except HandOver as handing:
        return _handed(run, handing)
    usage = run.usage
    cost = choice.model.cost_usd(usage)
    return Answer(
        content=run.text,
        model=choice.model.spec,
        usage=type(usage)(usage.input_tokens, usage.cached_tokens, usage.output_tokens, cost),
        messages=[_asked(request), *stored([*map(said_by_user, request.joined), *added], model=choice.model.spec)],
        summary_due=tools.has("set_summary") and is_due(context.recent, budget=budget),
    )


def _handed(run: Run, handing: HandOver) -> Handed:
    return Handed(
        workflow=handing.call["name"],
        inputs=handing.call["args"],
        said=f"{run.text}\n\n" if run.text else "",
        messages=stored(handing.messages, model=run.listed.spec),
        call=handing.call["id"] or "",
        usage=run.usage,
    )


def _messages(context: Context, request: TurnRequest, *, budget: int) -> list[AnyMessage]:
    """The model's input after the system prompt: what changes least comes first."""
    summary = context.recent.summary
    aside = aside_text(context.known, today=datetime.now(UTC).date())
    return [
        *([as_aside(HumanMessage(summary_text(summary)))] if summary else []),
        *recalled(context.recent.items, budget=budget),
        as_aside(HumanMessage(aside)),
        HumanMessage(request.content),
        *map(said_by_user, request.joined),
    ]


def _wishes(request: TurnRequest, context: Context) -> Wishes:
    return Wishes(request.model, request.preferred_model, _preferred_model(context.known.preferences))


def _preferred_model(preferences: str) -> str | None:
    try:
        values = json.loads(preferences or "{}")
    except ValueError:
        return None
    model = values.get("model") if isinstance(values, dict) else None
    return model if isinstance(model, str) else None


def _asked(request: TurnRequest) -> JSON:
    return {"role": "user", "content": request.content, "channel": request.channel}


async def _bound(choice: Choice, tools: ToolSet, offered: dict[str, Workflow]) -> BoundModel:
    provider = switched_on()[choice.model.provider]
    endpoint = provider.endpoint()
    if endpoint is None:
        raise AgentFailed("no_model", f"{provider.label} was just switched off.", retryable=True)
    built = await model_pool().get(provider, choice.model.name, endpoint)
    runnable = model_pool().with_tools(built, tools, beside=[definition(each) for each in offered.values()])
    return BoundModel(runnable, provider.label, (*VENDOR_ERRORS, *built.errors))
