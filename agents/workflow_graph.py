"""Run a turn's workflow: its steps as a LangGraph graph, whose checkpoints outlive the process."""

from dataclasses import dataclass
from datetime import timedelta
from operator import add
from typing import Annotated, Any, Protocol, TypedDict

import structlog
from langgraph.graph import END as LAST
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, Interrupt

from agents import workflow_points
from agents.errors import AgentFailed
from agents.events import Token, Usage
from agents.harness_types import Answer, Emit, TurnRequest
from agents.uploads import kept_message
from agents.waiting import ApprovalRequest, QuestionRequest, Resumed, Waits
from agents.workflow_checkpoints import FencedSaver, thread
from agents.workflow_desk import UNUSED, Desk
from agents.workflow_runs import WorkflowRun, find_run
from agents.workflows import END, Step, Workflow, workflows

JSON = dict[str, Any]
# Steps of one run, questions and answers included: a workflow that needs more has lost its way.
MOST_STEPS = 50

log = structlog.get_logger(__name__)


def _merged(old: JSON, new: JSON) -> JSON:
    return {**old, **new}


@dataclass(frozen=True, slots=True)
class Context:
    """What LangGraph passes to each step."""

    desk: Desk


class State(TypedDict):
    """What a workflow's checkpoints hold: all that was said and shown, what steps have left, what comes next, and tokens."""

    said: Annotated[str, add]
    values: Annotated[JSON, _merged]
    coming: str
    usage: Annotated[list[JSON], add]
    model: str
    kept_model: str
    images: Annotated[list[JSON], add]


class Node(Protocol):
    """A step as LangGraph calls it."""

    async def __call__(self, state: State, *, runtime: Runtime[Context]) -> JSON:
        """What the step changes of the state."""


async def run_workflow(request: TurnRequest, emit: Emit, *, handed: bool = False) -> Answer | Waits:
    """Answer a turn by its workflow, from where its last attempt left off. `handed`: the agent has just started it.

    Raises AgentFailed with a sentence for the user.
    """
    run = await find_run(request.turn)
    workflow = workflows().get(run.workflow) if run is not None else None
    if run is None or workflow is None:
        raise AgentFailed("no_workflow", "This gateway no longer has the workflow that was to answer you.")
    workflow.require(request.licence)
    return await _Attempt(request, emit, run, workflow).go(handed=handed)


class _Attempt:
    """One attempt at a workflow."""

    def __init__(self, request: TurnRequest, emit: Emit, run: WorkflowRun, workflow: Workflow) -> None:  # noqa: PLR0917 - private
        self._request, self._emit, self._run, self._workflow = request, emit, run, workflow
        self._desk = Desk(request, emit, workflow)
        saver = FencedSaver(request.turn, fence=request.fence)
        self._graph = _graph(workflow).compile(checkpointer=saver)

    async def go(self, *, handed: bool) -> Answer | Waits:
        config = thread(self._request.turn, steps=MOST_STEPS)
        before = await self._graph.aget_state(config)
        if not handed:
            await self._say_again(before.values.get("said", self._run.said))
        if before.values and not before.next:
            return self._answer(before.values)
        result = await self._graph.ainvoke(
            self._input(before.values, before.interrupts), config, context=Context(self._desk), durability="sync"
        )
        asked: tuple[Interrupt, ...] = tuple(result.get("__interrupt__", ()))
        if asked:
            told = {"interrupt": asked[0].id, "said": len(result["said"]), "paid": len(result["usage"])}
            return Waits(request=_request_of(asked[0].value), state=told, usage=self._usage(result))
        return self._answer(result)

    async def _say_again(self, said: str) -> None:
        """Show what was said since the turn last waited: what an attempt that broke off had shown was taken back."""
        if left := said[self._before("said") :]:
            await self._emit(Token(left))

    def _before(self, what: str) -> int:
        """How much had been `said`, and how many model calls `paid`, when the turn last waited for its user."""
        resumed = self._request.resumed
        return int(resumed.state.get(what, 0)) if resumed else 0

    def _input(self, values: JSON, asked: tuple[Interrupt, ...]) -> Any:
        if not values:
            first = self._workflow.steps[0].__name__
            return State(
                said=self._run.said,
                values={"inputs": self._run.inputs},
                coming=first,
                usage=[],
                model="",
                kept_model="",
                images=[],
            )
        resumed = self._request.resumed
        # Anything else that is asked now was not told of yet: its step begins again, and asks again.
        if resumed is not None and any(each.id == resumed.state.get("interrupt") for each in asked):
            return Command(resume={resumed.state["interrupt"]: _reply(resumed)})
        return None

    def _answer(self, state: JSON) -> Answer:
        model = state["model"]
        return Answer(
            content=state["said"][self._before("said") :],
            model=model,
            usage=self._usage(state),
            messages=self._messages(state, model),
            kept_model=state.get("kept_model", ""),
        )

    def _usage(self, state: JSON) -> Usage:
        """The tokens since the turn last waited; before that, those of the agent that started the workflow too."""
        calls = state["usage"][self._before("paid") :]
        if self._run.usage and not self._request.resumed:
            calls = [self._run.usage, *calls]
        return sum((Usage(**each) for each in calls), UNUSED)

    def _messages(self, state: JSON, model: str) -> list[JSON]:
        """The turn as the conversation keeps it: a workflow that the agent started is the answer to its call."""
        asked = kept_message(self._request.content, self._request.channel, attached=self._request.attached)
        said, images = state["said"][len(self._run.said) :].strip(), state.get("images")
        answer = {"role": "assistant", "content": said} | ({"model": model} if model else {})
        answer |= {"images": images} if images else {}
        if not self._run.call:
            return [asked, answer]
        result = {"role": "tool", "tool_call_id": self._run.call, "name": self._workflow.name, "content": "See below."}
        return [asked, *self._run.messages, result, answer]


def _graph(workflow: Workflow) -> "StateGraph[State, Context, Any, Any]":
    """The steps one after another, each of which may name another to follow, or none."""
    graph: StateGraph[State, Context, Any, Any] = StateGraph(State, context_schema=Context)
    names = [step.__name__ for step in workflow.steps]
    targets = {name: name for name in names} | {END: LAST}
    graph.add_edge(START, names[0])
    for step, following in zip(workflow.steps, [*names[1:], END], strict=True):
        graph.add_node(step.__name__, _node(step, following))
        graph.add_conditional_edges(step.__name__, _coming, targets)  # type: ignore[arg-type]
    return graph


def _node(step: Step, following: str) -> Node:
    name = step.__name__

    async def node(state: State, *, runtime: Runtime[Context]) -> JSON:
        desk = runtime.context.desk
        desk.begin(name)
        await workflow_points.reach(f"{name}.begin")
        left = await step(desk, state["values"])
        await workflow_points.reach(f"{name}.end")
        log.info("workflow_step", workflow=desk.workflow.name, step=name)
        return {
            "said": desk.said,
            "values": left.values,
            "coming": left.then or following,
            "usage": [desk.usage.payload()] if desk.usage != UNUSED else [],
            "model": desk.model or state["model"],
            "kept_model": desk.kept_model or state.get("kept_model", ""),
            "images": [image.payload() for image in desk.images],
        }

    return node


def _coming(state: State) -> str:
    return state["coming"]


def _request_of(value: JSON) -> ApprovalRequest | QuestionRequest:
    fields = value["request"] | {"ttl": timedelta(seconds=value["request"]["ttl"])}
    return ApprovalRequest(**fields) if value["kind"] == "approval" else QuestionRequest(**fields)


def _reply(resumed: Resumed) -> JSON:
    return {
        "decision": str(resumed.decision),
        "by_channel": resumed.by_channel,
        "comment": resumed.comment,
        "digest": resumed.digest,
        "values": resumed.values,
    }
