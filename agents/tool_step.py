"""One tool call of the agent: checked, shown, run, and its result given back to the model."""

import time
from dataclasses import dataclass, replace

import structlog
from langchain_core.messages import ToolCall as Call
from langchain_core.messages import ToolMessage
from mcp.shared.dispatcher import ProgressFnT

from agents.events import ToolCall, ToolProgress, ToolResult
from agents.harness_types import Emit
from agents.mcp.errors import CallFailed
from agents.mcp.results import ToolOutcome
from agents.mcp.session import Session
from agents.mcp.tools import ToolSet
from agents.transcript import plain_name, shortened

log = structlog.get_logger(__name__)

# Seconds between two progress frames of a call: faster than a person reads, slower than a busy loop reports.
PROGRESS_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Toolbox:
    """What the agent's tool calls are run with."""

    session: Session
    tools: ToolSet
    emit: Emit


async def call_tool(box: Toolbox, call: Call, *, malformed: str | None = None) -> ToolMessage:
    """Run a call and give the model its result; a failure of any kind is a result, which the model can act on.

    `malformed` says that its arguments could not be read. Raises AgentFailed when the workspace can't be started again.
    """
    call_id, tool_name = call["id"] or "", plain_name(call["name"])
    await box.emit(ToolCall(call_id, tool_name, shortened(call["args"])))
    began = time.monotonic()
    outcome = await _outcome(box, call, malformed)
    ms = round((time.monotonic() - began) * 1000)
    error = outcome.summary() if outcome.failed else None
    await box.emit(ToolResult(call_id, tool_name, outcome.summary(), ms, error))
    log.info("tool_called", tool=tool_name, ms=ms, failed=outcome.failed)
    status = "error" if outcome.failed else "success"
    return ToolMessage(outcome.text, tool_call_id=call_id, name=call["name"], status=status)


async def _outcome(box: Toolbox, call: Call, malformed: str | None) -> ToolOutcome:
    tool = box.tools.by_model_name(call["name"])
    if tool is None:
        return ToolOutcome(f"There is no tool named {call['name'][:80]!r}.", failed=True)
    complaint = malformed or tool.complaint(call["args"])
    if complaint:
        return ToolOutcome(complaint, failed=True)
    try:
        outcome = await box.session.call_tool(tool.name, call["args"], on_progress=_progress(box, call["id"] or ""))
    except CallFailed as error:
        return ToolOutcome(error.message, failed=True)
    # The MCP SDK's servers put this before every error; the call's name stands beside it anyway.
    return replace(outcome, text=outcome.text.removeprefix(f"Error executing tool {tool.name}: "))


def _progress(box: Toolbox, call_id: str) -> ProgressFnT:
    shown_at = 0.0

    async def show(progress: float, total: float | None, message: str | None) -> None:
        nonlocal shown_at
        now = time.monotonic()
        if now - shown_at < PROGRESS_EVERY_S and progress != total:
            return
        shown_at = now
        await box.emit(ToolProgress(call_id, progress, total, message))

    return show
