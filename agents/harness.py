"""The agent's front door."""

import sys
from typing import cast

from agents.harness_types import Answer, Emit, Handed, Talk, TurnRequest
from agents.lazy import load
from agents.waiting import Waits
from agents.workflow_runs import WorkflowRun, hand_over


async def run_agent(request: TurnRequest, emit: Emit) -> Answer | Waits:
    """Run one turn: start the workspace if need be, read its context, choose the model, let the agent work. A turn
    that a workflow answers, or that the agent hands over to one, is run by that.

    Emits Started, then Token, ToolCall, ToolProgress and ToolResult as they come, never a final event. Raises
    AgentFailed with a sentence for the user; cancelling it stops the model and the running tools. It keeps nothing:
    the answer's `messages` are for `agents.history.append_turn`.
    """
    if request.workflow:
        return await _run_workflow(request, emit)
    turn_run = await load("agents.turn_run")
    ended: Answer | Handed | Waits = await turn_run.run_turn(request, emit)
    if not isinstance(ended, Handed):
        return ended
    await hand_over(request.turn, fence=request.fence, run=_started(ended))
    return await _run_workflow(request, emit, handed=True)


async def _run_workflow(request: TurnRequest, emit: Emit, *, handed: bool = False) -> Answer | Waits:
    graph = await load("agents.workflow_graph")
    return cast("Answer | Waits", await graph.run_workflow(request, emit, handed=handed))


def _started(handed: Handed) -> WorkflowRun:
    return WorkflowRun(
        handed.workflow, handed.inputs, handed.said, handed.messages, handed.call, handed.usage.payload()
    )


async def summarise(talk: Talk) -> None:
    """Sum up the older part of a conversation; a failure is logged."""
    summaries = await load("agents.summaries")
    await summaries.summarise(talk)


async def close() -> None:
    """Close the running loop's connections to workspaces and model providers."""
    for name in ("agents.mcp.pool", "agents.model_pool"):
        if name in sys.modules:
            await (await load(name)).close_pool()
