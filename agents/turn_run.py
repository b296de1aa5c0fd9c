"""A turn from its request to its answer: workspace, context, model, agent."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from langchain_core.messages import AnyMessage, HumanMessage, SystemMessage

from agents.agent_loop import Run, run_loop
from agents.aside import aside_text, summary_text
from agents.asking import Asked, Resting, is_question, taken_up
from agents.attachments import Delivery, deliver, tell_blind
from agents.choosing import bound_model, chosen_model, standbys_of
from agents.context import Context, Looking, gather
from agents.estimates import tool_tokens
from agents.events import Started
from agents.handover import HandOver, definition, offered_workflows
from agents.harness_types import Answer, Emit, Handed, TurnRequest
from agents.mcp.errors import CallFailed, workspace_failure
from agents.mcp.pool import pool
from agents.prompt_marks import as_aside, as_kept
from agents.prompts import prompt
from agents.routing import Choice
from agents.summary_due import is_due
from agents.tool_step import Toolbox, answer_call
from agents.transcript import recalled, said_by_user, stored
from agents.uploads import kept_message
from agents.waiting import Waits
from agents.window import history_budget

log = structlog.get_logger(__name__)
JSON = dict[str, Any]

SYSTEM = prompt("system")


async def run_turn(request: TurnRequest, emit: Emit) -> Answer | Handed | Waits:
    """See `agents.harness.run_agent`."""
    session = pool().session(request.licence, on_stage=request.on_stage)
    try:
        tools = await session.tools()
        files = await deliver(request.attached, Delivery(session, tools, emit, request.keep_outcome))
        look = Looking(session, tools, request.user_id, request.content)
        context = await gather(look, conversation=request.conversation)
    except CallFailed as error:
        raise workspace_failure(error) from error
    choice = await _choice(request, context)
    await emit(Started(choice.model.spec, choice.reason, request.attempt))
    await tell_blind(files, choice.model, emit)
    labels = [SYSTEM.label, prompt("context").label]
    log.info("turn_started", model=choice.model.spec, prompts=labels, tools=tools.digest[:12])
    run = await _begun(request, choice, Toolbox(session, tools, emit, request.keep_picture, request.effect_key))
    budget = history_budget(choice.model, tool_tokens=run.tool_tokens)
    resting = taken_up(request.resumed) if request.resumed and is_question(request.resumed) else None
    joined = [said_by_user(each) for each in request.joined[resting.joined if resting else 0 :]]
    known = replace(context.known, attached=files.told(choice.model))
    before = _before(replace(context, known=known), budget=budget)
    base = [*before, files.message(request.content, model=choice.model)]
    try:
        added = await _work(run, base, resting=resting, joined=joined)
    except HandOver as handing:
        return _handed(run, handing)
    if isinstance(added, Waits):
        return added
    return Answer(
        content=run.text,
        model=run.listed.spec,
        usage=run.usage,
        messages=[_asked(request), *stored(added, model=run.listed.spec)],
        kept_model=choice.wanted.spec,
        summary_due=tools.has("set_summary") and is_due(context.recent, budget=budget),
    )


async def _begun(request: TurnRequest, choice: Choice, toolbox: Toolbox) -> Run:
    """The turn's run, its model bound to the tools and to the workflows that the licence opens. Raises AgentFailed."""
    offered = offered_workflows(request.licence)
    beside = [definition(each) for each in offered.values()]
    bind = partial(bound_model, tools=toolbox.tools, beside=beside)
    return Run(
        model=await bind(choice.model),
        listed=choice.model,
        toolbox=toolbox,
        system=as_kept(SystemMessage(SYSTEM.text)),
        meter=request.meter,
        more=request.more,
        tool_tokens=tool_tokens(toolbox.tools),
        workflows=offered,
        standbys=standbys_of(choice, request, bind=bind, emit=toolbox.emit),
    )


def _before(context: Context, *, budget: int) -> list[AnyMessage]:
    """The model's input between the system prompt and the message: what changes least comes first."""
    summary = context.recent.summary
    aside = aside_text(context.known, today=datetime.now(UTC).date())
    return [
        *([as_aside(HumanMessage(summary_text(summary)))] if summary else []),
        *recalled(context.recent.items, budget=budget),
        as_aside(HumanMessage(aside)),
    ]


async def _work(
    run: Run, base: list[AnyMessage], *, resting: Resting | None, joined: list[HumanMessage]
) -> list[AnyMessage] | Waits:
    """What the turn has added when the agent is done, or what its user must be asked before it goes on.

    `resting` is what it was made of when it was asked before, `joined` what the user has added to it since.
    """
    done: list[AnyMessage] = [*joined]
    if resting is not None:
        run.steps = resting.steps
        resting.messages += joined
    while True:
        if resting is not None:
            waits = await _settled(run, resting)
            if waits is not None:
                return waits
            done = resting.messages
        try:
            return [*done, *await run_loop(run, [*base, *done])]
        except HandOver as handing:
            handing.messages = [*done, *handing.messages]
            raise
        except Asked as asked:
            done = [*done, *asked.messages]
            said = sum(isinstance(message, HumanMessage) for message in done)
            resting = Resting(done, [*run.toolbox.pending], run.steps, run.listed.spec, said)
            run.toolbox.pending.clear()


async def _settled(run: Run, resting: Resting) -> Waits | None:
    """Go on with the calls that rest, one after the other; the next question, None when all have their results."""
    while resting.pending:
        waits = resting.waits(run.usage)
        if waits is not None:
            return waits
        first = resting.pending[0]
        result = await answer_call(run.toolbox, first)
        if result is not None:
            resting.answered(first.call["id"], result)
    return None


def _handed(run: Run, handing: HandOver) -> Handed:
    return Handed(
        workflow=handing.call["name"],
        inputs=handing.call["args"],
        said=f"{run.text}\n\n" if run.text else "",
        messages=stored(handing.messages, model=run.listed.spec),
        call=handing.call["id"] or "",
        usage=run.usage,
    )


async def _choice(request: TurnRequest, context: Context) -> Choice:
    """A turn that goes on after a question keeps its model while it can."""
    if request.resumed is not None and is_question(request.resumed):
        kept = request.resumed.state["model"]
        request = replace(request, model=None, preferred_model=kept, model_settled=True)
    return await chosen_model(request, preferences=context.known.preferences, history=context.recent.items)


def _asked(request: TurnRequest) -> JSON:
    return kept_message(request.content, request.channel, attached=request.attached)
