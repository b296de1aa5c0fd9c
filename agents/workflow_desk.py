"""What a workflow's step works with: the user, their workspace's tools, and a model."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import structlog
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langgraph.types import interrupt

from accounts.licences import Licence, NotLicensed, active_licence
from agents import workflow_points
from agents.agent_loop import Run
from agents.choosing import bound_by, chosen_model, standbys_of
from agents.context import read_aside
from agents.errors import AgentFailed, ToolRefused
from agents.events import Event, Image, Started, Token, ToolCall, ToolResult, Usage
from agents.harness_types import Emit, TurnRequest
from agents.mcp.errors import CallFailed, Reason, workspace_failure
from agents.mcp.limits import TOOL_S
from agents.mcp.pool import pool
from agents.mcp.results import ToolOutcome
from agents.routing import Choice
from agents.telemetry import span
from agents.tool_step import ProgressFrames, Toolbox
from agents.transcript import shortened
from agents.waiting import ApprovalRequest, QuestionRequest, digest_of
from agents.workflows import Workflow

JSON = dict[str, Any]

UNUSED = Usage(cost_usd=0.0)
# Seconds that a stopped turn waits for an effect that is under way.
EFFECT_ENDS_S = 3.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a question or an approval; see agents.waiting.Resumed."""

    decision: str
    by_channel: str
    comment: str = ""
    digest: str = ""
    values: JSON | None = None


class Desk:
    """One attempt at a workflow.

    `step` is the step under way, `said` and `images` what it has said and shown so far. `model` is the one that has answered
    last, and `kept_model` the one that the conversation goes on with, both "" while none was asked.
    """

    def __init__(self, request: TurnRequest, emit: Emit, workflow: Workflow) -> None:
        self.request, self.workflow = request, workflow
        self.step, self.said = "", ""
        self.model, self.kept_model = "", ""
        self.usage = UNUSED
        self.images: list[Image] = []
        self._emit = emit
        self._session = pool().session(request.licence, on_stage=request.on_stage)
        self._calls = 0
        self._chosen: Choice | None = None

    def begin(self, step: str) -> None:
        """A step begins."""
        self.step, self.said, self._calls, self.usage, self.images = step, "", 0, UNUSED, []

    async def say(self, text: str) -> None:
        """Show words to the user."""
        self.said += text
        await self._emit(Token(text))

    async def show(self, image: Image) -> None:
        """Show a picture to the user; the conversation keeps where it is found."""
        self.images.append(image)
        await self._emit(image)

    async def call(self, tool: str, arguments: JSON, *, deadline_s: float = TOOL_S) -> ToolOutcome:
        """Call a tool of the workspace before the user's eyes.

        Raises ToolRefused, and AgentFailed when the workspace can't be reached, or did not say what became of the call.
        """
        self._calls += 1
        self.request.meter.called()
        call_id = f"{self.step}-{self._calls}"
        await self._emit(ToolCall(call_id, tool, shortened(arguments)))
        began, progress = time.monotonic(), ProgressFrames(self._emit, call_id)
        outcome = ToolOutcome("The workspace did not answer.", failed=True)
        try:
            with span("execute_tool", gen_ai__operation__name="execute_tool", gen_ai__tool__name=tool) as current:
                outcome = await self._session.call_tool(
                    tool, arguments, on_progress=progress.show, deadline_s=deadline_s
                )
                current.set_attribute("tool.failed", outcome.failed)
        except CallFailed as error:
            outcome = ToolOutcome(error.message, failed=True)
            if error.reason is not Reason.REFUSED:
                raise workspace_failure(error) from error
        finally:
            progress.over = True
            summary, ms = outcome.summary(), round((time.monotonic() - began) * 1000)
            await self._emit(ToolResult(call_id, tool, summary, ms, summary if outcome.failed else None))
            log.info("tool_called", tool=tool, ms=ms, failed=outcome.failed, workflow=self.workflow.name)
        if outcome.failed:
            raise ToolRefused(" ".join(outcome.text.removeprefix(f"Error executing tool {tool}: ").split())[:500])
        return outcome

    async def values_of(self, tool: str, arguments: JSON | None = None, *, deadline_s: float = TOOL_S) -> JSON:
        """What a tool answers, as its values. Raises what `call` raises."""
        outcome = await self.call(tool, arguments or {}, deadline_s=deadline_s)
        if outcome.structured is None:
            raise ToolRefused(f"The answer of {tool} is not in the form it promised.")
        return outcome.structured

    async def effect(self, tool: str, arguments: JSON, *, told: Callable[[JSON], str]) -> JSON:
        """Call a tool that has an effect; `arguments` hold the key, kept by an earlier step, that makes it happen once.

        A user who stops the turn meanwhile still hears what came of it: `told` puts the tool's answer into words. Raises what
        `call` raises.
        """
        await workflow_points.reach(f"{self.step}.call")
        calling = asyncio.ensure_future(self.values_of(tool, arguments))
        try:
            return await asyncio.shield(calling)
        except asyncio.CancelledError:
            await asyncio.wait({calling}, timeout=EFFECT_ENDS_S)
            # Its key makes it safe to have it done or not.
            calling.cancel()
            await asyncio.wait({calling})
            await self.say(_stopped(calling, told))
            raise
        except AgentFailed as error:
            message = f"Your workspace did not say whether it did what you approved ({tool}). {error.message}"
            raise AgentFailed("outcome_unknown", message, retryable=True) from error

    async def ask_model(
        self, system: str, content: str, *, tools: Sequence[JSON] = (), aloud: bool = False
    ) -> AIMessage:
        """Ask the turn's model, which may answer by calling one of `tools` (definitions in OpenAI's format).

        `aloud`: the user sees its words as they come. Raises AgentFailed.
        """
        choice = await self._choice()
        bind = partial(bound_by, bind=lambda built: built.chat.bind_tools(list(tools)) if tools else built.chat)
        run = Run(
            model=await bind(choice.model),
            listed=choice.model,
            toolbox=Toolbox(self._session, await self._session.tools(), self._heard),
            system=SystemMessage(system),
            meter=self.request.meter,
            standbys=standbys_of(choice, self.request, bind=bind, emit=self._emit),
            aloud=aloud,
        )
        message = await run.model_step([HumanMessage(content)])
        # One that has stood in is asked from now on.
        self._chosen = replace(choice, model=run.listed, others=tuple(run.standbys.waiting))
        self.model = run.listed.spec
        self.usage += run.usage
        return message

    def approve(self, request: ApprovalRequest) -> Reply:
        """The user's yes or no. The step is left here, and begun again from its top once the user has decided.

        A yes to anything but exactly this is none: AgentFailed.
        """
        reply = self._wait("approval", asdict(request) | {"ttl": request.ttl.total_seconds()})
        if reply.decision == "approved" and reply.digest != digest_of(request.covered(self.request.turn)):
            raise AgentFailed("approval_mismatch", "What was approved is not what would be done now. Nothing was done.")
        return reply

    def ask_user(self, request: QuestionRequest) -> Reply:
        """The user's answer. The step is left here, and begun again from its top once there is one."""
        return self._wait("question", asdict(request) | {"ttl": request.ttl.total_seconds()})

    async def licence_now(self) -> Licence:
        """The user's licence as it is at this moment. Raises AgentFailed when there is none in force."""
        try:
            return await active_licence(self.request.user_id)
        except NotLicensed as error:
            raise AgentFailed(error.code, str(error)) from error

    def _wait(self, kind: str, request: JSON) -> Reply:
        if self.said or self._calls:
            raise RuntimeError(
                f"The step {self.step} asks the user after it has done something: it would be done twice."
            )
        return Reply(**interrupt({"kind": kind, "request": request}))

    async def _heard(self, event: Event) -> None:
        """What a model says aloud is said by the step."""
        if isinstance(event, Token):
            await self.say(event.content)
        else:
            await self._emit(event)

    async def _choice(self) -> Choice:
        if self._chosen is None:
            preferences = await read_aside(self._session, "context://preferences")
            self._chosen = await chosen_model(self.request, preferences=preferences)
            self.model, self.kept_model = self._chosen.model.spec, self._chosen.wanted.spec
            await self._emit(Started(self.model, self._chosen.reason, self.request.attempt))
        return self._chosen


def _stopped(calling: "asyncio.Future[JSON]", told: Callable[[JSON], str]) -> str:
    """What a user who stopped a turn hears of the effect that was under way."""
    if not calling.done() or calling.cancelled():
        return "You stopped me while it was under way, so I don't know whether it took effect."
    error = calling.exception()
    if error is None:
        return told(calling.result())
    return (
        f"Nothing was done: {error}"
        if isinstance(error, ToolRefused)
        else f"I don't know whether it took effect: {error}"
    )
