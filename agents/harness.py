"""The agent's front door."""

from typing import cast

from agents.harness_types import Answer, Emit, Talk, TurnRequest
from agents.lazy import load, loaded


async def run_agent(request: TurnRequest, emit: Emit) -> Answer:
    """Run one turn: start the workspace if need be, read its context, choose the model, let the agent work.

    Emits Started, then Token, ToolCall, ToolProgress and ToolResult as they come, never a final event. Raises
    AgentFailed with a sentence for the user; cancelling it stops the model and the running tools. It keeps nothing:
    the answer's `messages` are for `agents.history.append_turn`.
    """
    turn_run = await load("agents.turn_run")
    return cast("Answer", await turn_run.run_turn(request, emit))


async def summarise(talk: Talk) -> None:
    """Sum up the older part of a conversation; a failure is logged."""
    summaries = await load("agents.summaries")
    await summaries.summarise(talk)


async def close() -> None:
    """Close the running loop's connections to workspaces and model providers."""
    if loaded("agents.turn_run") or loaded("agents.mcp.history"):
        for name in ("agents.mcp.pool", "agents.model_pool"):
            await (await load(name)).close_pool()
