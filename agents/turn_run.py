"""A turn from its request to its answer: workspace, context, model, agent."""

import asyncio
import json
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

import structlog
from langchain_core.messages import HumanMessage, SystemMessage

from agents.agent_loop import Run, run_loop
from agents.errors import AgentFailed
from agents.estimates import tool_tokens
from agents.events import Started
from agents.handover import HandOver, definition, offered_workflows
from agents.harness_types import Answer, Emit, Handed, TurnRequest
from agents.mcp.errors import CallFailed, Reason, workspace_failure
from agents.mcp.history import read_page
from agents.mcp.pool import pool
from agents.mcp.session import Session
from agents.mcp.tools import ToolSet
from agents.model_pool import model_pool
from agents.model_step import BoundModel
from agents.offers import offer
from agents.prompts import UserContext, system_text
from agents.providers import switched_on
from agents.routing import Choice, Wishes, choose
from agents.tool_step import Toolbox
from agents.transcript import recalled, stored
from agents.vendor_errors import VENDOR_ERRORS
from agents.workflows import Workflow

log = structlog.get_logger(__name__)
JSON = dict[str, Any]

# Messages of earlier turns that are read; how many the model sees is a matter of their length.
HISTORY_MESSAGES = 50


async def run_turn(request: TurnRequest, emit: Emit) -> Answer | Handed:
    """See `agents.harness.run_agent`."""
    session = pool().session(request.licence, on_stage=request.on_stage)
    try:
        tools = await session.tools()
        history, context = await _together(
            read_page(session, tools, request.conversation, limit=HISTORY_MESSAGES), _context(session)
        )
    except CallFailed as error:
        raise workspace_failure(error) from error
    choice = choose(_wishes(request, context), offer(request.licence))
    await emit(Started(choice.model.spec, choice.reason, request.attempt))
    offered = offered_workflows(request.licence)
    run = Run(
        model=await _bound(choice, tools, offered),
        listed=choice.model,
        toolbox=Toolbox(session, tools, emit),
        system=SystemMessage(system_text(context, today=datetime.now(UTC).date())),
        meter=request.meter,
        tool_tokens=tool_tokens(tools),
        workflows=offered,
    )
    try:
        added = await run_loop(run, [*recalled(history.items), HumanMessage(request.content)])
    except HandOver as handing:
        return _handed(run, handing)
    usage = run.usage
    cost = choice.model.cost_usd(usage)
    return Answer(
        content=run.text,
        model=choice.model.spec,
        usage=type(usage)(usage.input_tokens, usage.cached_tokens, usage.output_tokens, cost),
        messages=[_asked(request), *stored(added, model=choice.model.spec)],
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


def _wishes(request: TurnRequest, context: UserContext) -> Wishes:
    return Wishes(request.model, request.preferred_model, _preferred_model(context.preferences))


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


async def _context(session: Session) -> UserContext:
    return UserContext(
        *await _together(_optional(session, "context://profile"), _optional(session, "context://preferences"))
    )


async def _optional(session: Session, uri: str) -> str:
    """A resource's text, blank where the server does not have it: a server set by staff need not be a workspace."""
    try:
        return await session.read_resource(uri)
    except CallFailed as error:
        if error.reason is not Reason.REFUSED:
            raise
        log.info("context_missing", uri=uri)
        return ""


async def _together(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """The results of `work`, done at once; the first failure ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    return [task.result() for task in tasks]
