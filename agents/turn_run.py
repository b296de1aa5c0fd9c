"""A turn from its request to its answer: workspace, context, model, agent."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

import structlog
from langchain_core.messages import HumanMessage, SystemMessage

from agents.agent_loop import Run, run_loop
from agents.choosing import chosen_model, standbys_of
from agents.estimates import tool_tokens
from agents.events import Started
from agents.harness_types import Answer, Emit, TurnRequest
from agents.mcp.errors import CallFailed, Reason, workspace_failure
from agents.mcp.history import read_page
from agents.mcp.pool import pool
from agents.mcp.session import Session
from agents.prompts import UserContext, system_text
from agents.tool_step import Toolbox
from agents.transcript import recalled, stored

log = structlog.get_logger(__name__)
JSON = dict[str, Any]

# Messages of earlier turns that are read; how many the model sees is a matter of their length.
HISTORY_MESSAGES = 50


async def run_turn(request: TurnRequest, emit: Emit) -> Answer:
    """See `agents.harness.run_agent`."""
    session = pool().session(request.licence, on_stage=request.on_stage)
    try:
        tools = await session.tools()
        history, context = await _together(
            read_page(session, tools, request.conversation, limit=HISTORY_MESSAGES), _context(session)
        )
    except CallFailed as error:
        raise workspace_failure(error) from error
    choice = await chosen_model(request, preferences=context.preferences, history=history.items)
    await emit(Started(choice.model.spec, choice.reason, request.attempt))
    standbys = standbys_of(choice, request, tools=tools, emit=emit)
    run = Run(
        model=await standbys.bind(choice.model),
        listed=choice.model,
        toolbox=Toolbox(session, tools, emit),
        system=SystemMessage(system_text(context, today=datetime.now(UTC).date())),
        meter=request.meter,
        tool_tokens=tool_tokens(tools),
        standbys=standbys,
    )
    added = await run_loop(run, [*recalled(history.items), HumanMessage(request.content)])
    return Answer(
        content=run.text,
        model=run.listed.spec,
        usage=run.usage,
        messages=[_asked(request), *stored(added, model=run.listed.spec)],
        kept_model=choice.wanted.spec,
    )


def _asked(request: TurnRequest) -> JSON:
    return {"role": "user", "content": request.content, "channel": request.channel}


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
