"""One tool call of the agent: checked, shown, run, and its result given back to the model."""

import time
from dataclasses import dataclass, replace

import structlog
from langchain_core.messages import ToolCall as Call
from langchain_core.messages import ToolMessage

from agents.events import ToolCall, ToolProgress, ToolResult
from agents.harness_types import Emit
from agents.mcp.errors import CallFailed
from agents.mcp.limits import cleaned
from agents.mcp.results import ToolOutcome
from agents.mcp.session import Session
from agents.mcp.tools import ToolSet
from agents.telemetry import span
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
    complaint = malformed or _complaint(box.tools, call)
    # A name that a model made up may be anything.
    spanned = "unknown" if complaint else tool_name
    with span("execute_tool", gen_ai__operation__name="execute_tool", gen_ai__tool__name=spanned) as current:
        outcome = ToolOutcome(complaint, failed=True) if complaint else await _run(box, call)
        current.set_attribute("tool.failed", outcome.failed)
    ms = round((time.monotonic() - began) * 1000)
    error = outcome.summary() if outcome.failed else None
    await box.emit(ToolResult(call_id, tool_name, outcome.summary(), ms, error))
    log.info("tool_called", tool=tool_name, ms=ms, failed=outcome.failed)
    status = "error" if outcome.failed else "success"
    return ToolMessage(outcome.text, tool_call_id=call_id, name=call["name"], status=status)


def _complaint(tools: ToolSet, call: Call) -> str | None:
    tool = tools.by_model_name(call["name"])
    if tool is None:
        return f"There is no tool named {call['name'][:80]!r}."
    return tool.complaint(call["args"])


async def _run(box: Toolbox, call: Call) -> ToolOutcome:
    name, progress = plain_name(call["name"]), ProgressFrames(box.emit, call["id"] or "")
    try:
        outcome = await box.session.call_tool(name, call["args"], on_progress=progress.show)
    except CallFailed as error:
        return ToolOutcome(error.message, failed=True)
    finally:
        progress.over = True
    # The MCP SDK's servers put this before every error; the call's name stands beside it anyway.
    return replace(outcome, text=outcome.text.removeprefix(f"Error executing tool {name}: "))


@dataclass(slots=True)
class ProgressFrames:
    """A call's progress on its way to the user. The SDK reports it from tasks of its own, some of which come late."""

    emit: Emit
    call: str
    over: bool = False
    shown_at: float = 0.0

    async def show(self, progress: float, total: float | None, message: str | None) -> None:
        now = time.monotonic()
        if self.over or (now - self.shown_at < PROGRESS_EVERY_S and progress != total):
            return
        self.shown_at = now
        await self.emit(ToolProgress(self.call, progress, total, cleaned(message)[:200] if message else None))
