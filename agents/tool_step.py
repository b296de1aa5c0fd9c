"""One tool call of the agent: checked, shown, run, and its result given back to the model."""

import hashlib
import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import structlog
from langchain_core.messages import ToolCall as Call
from langchain_core.messages import ToolMessage

from agents.asking import REFUSED, WAITING, Pending
from agents.charts import BACKTEST, chart_url
from agents.events import Image, ToolCall, ToolProgress, ToolResult
from agents.harness_types import EffectKey, Emit, KeepPicture, keep_no_picture, key_of_place
from agents.markup import clean
from agents.mcp.errors import CallFailed
from agents.mcp.results import ToolOutcome
from agents.mcp.session import Given, Session
from agents.mcp.tools import IDEMPOTENCY_KEY, ToolSet
from agents.pictures import media_type
from agents.telemetry import span
from agents.transcript import plain_name, shortened, timed

log = structlog.get_logger(__name__)

# Seconds between two progress frames of a call: faster than a person reads, slower than a busy loop reports.
PROGRESS_EVERY_S = 0.2

CHART = re.compile(rf"backtest://({BACKTEST.pattern})/chart\.png")
SHOWN = "The picture is shown to the person."
CHANGED = "This tool's definition changed while this answer was being written. It can be used again in the next one."


@dataclass(frozen=True, slots=True)
class Toolbox:
    """What the agent's tool calls are run with. `tools` are those of the turn's beginning; `pending` are calls that ask."""

    session: Session
    tools: ToolSet
    emit: Emit
    keep_picture: KeepPicture = keep_no_picture
    effect_key: EffectKey = key_of_place
    pending: list[Pending] = field(default_factory=list)


async def call_tool(box: Toolbox, call: Call, *, place: str = "", malformed: str | None = None) -> ToolMessage:
    """Run a call and give the model its result; a failure of any kind is a result, which the model can act on.

    A tool that asks its user something is `box.pending`, and its message a stand-in. `place` is the call's step and number,
    `malformed` says that its arguments could not be read. Raises AgentFailed when the workspace can't be started again.
    """
    call_id, tool_name = call["id"] or "", plain_name(call["name"])
    await box.emit(ToolCall(call_id, tool_name, shortened(call["args"])))
    began = time.monotonic()
    complaint = malformed or _complaint(box.tools, call)
    if complaint:
        return await _told(box, call, ToolOutcome(complaint, failed=True), began=began)
    pending = await _placed(box, call, place)
    outcome = await _run(box, pending)
    if outcome.asks is not None:
        box.pending.append(pending)
        return ToolMessage(WAITING, tool_call_id=call_id, name=call["name"])
    return await _told(box, call, outcome, began=began)


async def answer_call(box: Toolbox, pending: Pending) -> ToolMessage | None:
    """Go on with a call whose questions are answered; None when it has asked again."""
    began = time.monotonic()
    call = Call(type="tool_call", id=pending.call["id"], name=pending.call["name"], args=pending.call["args"])
    outcome = await _run(box, pending)
    return None if outcome.asks is not None else await _told(box, call, outcome, began=began)


async def _placed(box: Toolbox, call: Call, place: str) -> Pending:
    """The call as it is sent, and sent again."""
    tool = box.tools.by_model_name(call["name"])
    assert tool is not None  # noqa: S101 - _complaint has looked
    arguments = call["args"]
    if tool.keyed:
        digest = hashlib.sha256(json.dumps(arguments, sort_keys=True, default=str).encode()).hexdigest()
        arguments = {**arguments, IDEMPOTENCY_KEY: await box.effect_key(tool.name, digest, place)}
    kept = {"id": call["id"], "name": call["name"], "args": call["args"]}
    return Pending(call=kept, tool=tool.name, arguments=arguments, definition=tool.digest)


async def _told(box: Toolbox, call: Call, outcome: ToolOutcome, *, began: float) -> ToolMessage:
    """Show the outcome to the user; the message of it for the model."""
    call_id, tool_name = call["id"] or "", plain_name(call["name"])
    ms = round((time.monotonic() - began) * 1000)
    error = outcome.summary() if outcome.failed else None
    await box.emit(ToolResult(call_id, tool_name, outcome.summary(), ms, error))
    images = [image async for image in _images(box, tool_name, outcome)]
    for image in images:
        await box.emit(image)
    log.info("tool_called", tool=tool_name, ms=ms, failed=outcome.failed)
    shown = [{"url": image.url, "alt": image.alt} for image in images]
    text = f"{outcome.text}\n[{SHOWN}]" if shown else outcome.text
    status = "error" if outcome.failed else "success"
    told = ToolMessage(text, tool_call_id=call_id, name=call["name"], status=status, artifact=shown or None)
    return timed(told, ms=ms)


async def _images(box: Toolbox, tool: str, outcome: ToolOutcome) -> AsyncIterator[Image]:
    """The pictures of a result. That of a backtest stays in the workspace; others are kept here for a while."""
    values = outcome.structured or {}
    about = " ".join(str(values[name])[:60] for name in ("strategy", "symbol") if isinstance(values.get(name), str))
    alt = clean(f"{tool}: {about}" if about else tool)
    for picture in outcome.pictures:
        chart = CHART.fullmatch(str(values.get("chart_uri") or ""))
        if chart and len(outcome.pictures) == 1:
            yield Image(chart_url(chart[1]), alt)
        elif media_type(picture) and (url := await box.keep_picture(picture)):
            yield Image(url, alt)


def _complaint(tools: ToolSet, call: Call) -> str | None:
    tool = tools.by_model_name(call["name"])
    if tool is None:
        return f"There is no tool named {call['name'][:80]!r}."
    if IDEMPOTENCY_KEY in call["args"]:
        return f"{IDEMPOTENCY_KEY} is not yours to give."
    arguments = {**call["args"], IDEMPOTENCY_KEY: "0"} if tool.keyed else call["args"]
    return tool.complaint(arguments)


async def _run(box: Toolbox, pending: Pending) -> ToolOutcome:
    """Send the call. What it asks stands in `pending` afterwards, and in the outcome."""
    progress = ProgressFrames(box.emit, pending.call["id"] or "")
    with span("execute_tool", gen_ai__operation__name="execute_tool", gen_ai__tool__name=pending.tool) as current:
        try:
            outcome = await _sent(box, pending, progress)
        except CallFailed as error:
            outcome = ToolOutcome(error.message, failed=True)
        finally:
            progress.over = True
        current.set_attribute("tool.failed", outcome.failed)
    if outcome.asks is not None and not pending.asks_again(outcome.asks):
        return ToolOutcome(REFUSED, failed=True)
    # The MCP SDK's servers put this before every error; the call's name stands beside it anyway.
    return replace(outcome, text=outcome.text.removeprefix(f"Error executing tool {pending.tool}: "))


async def _sent(box: Toolbox, pending: Pending, progress: "ProgressFrames") -> ToolOutcome:
    now = (await box.session.tools()).named(pending.tool)
    if now is None or now.digest != pending.definition:
        # What the model, or the user, agreed to is not what would run.
        return ToolOutcome(CHANGED, failed=True)
    given = Given(pending.answers, pending.state)
    return await box.session.call_tool(pending.tool, pending.arguments, on_progress=progress.show, given=given)


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
        await self.emit(ToolProgress(self.call, progress, total, clean(message)[:200] if message else None))
