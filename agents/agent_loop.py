"""The agent: a model and tools in turn, by LangChain's `create_agent`.

One compiled agent serves every turn. What belongs to a turn (its model, its tools, where its events go) comes with the
run's context, and two hooks do the work: so nothing is compiled or bound anew for a turn.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse, ToolCallRequest
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, AnyMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from agents import metrics
from agents.asking import Asked
from agents.call_order import CallOrder
from agents.catalogue import Model
from agents.drawn import NOT_SHOWN, SHOWN, kept, pictures_of, with_images, without_pictures
from agents.errors import AgentFailed
from agents.estimates import prompt_tokens
from agents.events import Notice, Token, Usage
from agents.handover import HandOver, complaint, handed_over
from agents.harness_types import Meter, Said, nobody_joins
from agents.model_spans import model_names, note_usage
from agents.model_step import BoundModel, Spoken, call_model
from agents.prompt_marks import as_kept
from agents.standbys import Standbys, going_on, spoken_whole
from agents.telemetry import span
from agents.tool_step import Toolbox, call_tool
from agents.tracing import keep_to_the_loop
from agents.transcript import repaired, said_by_user
from agents.window import fitted
from agents.workflows import Workflow

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

# Model calls in one turn. A turn that needs more has usually lost its way.
MOST_STEPS = 12

CUT = "The answer is longer than one of {:,} tokens may be, and is cut here. Ask for the rest if you need it."


@dataclass(slots=True)
class Run:
    """One turn's run: what it works with, and what has come of it so far.

    `before` is what its messages follow, `workflows` are those that its model may hand the turn over to, by name. `listed` is the
    model as the catalogue has it, `tool_tokens` what the definitions of its tools take of each prompt. The user sees the words of
    a run that is `aloud`; the calls of one that is not are the form of its answers.
    """

    model: BoundModel
    listed: Model
    toolbox: Toolbox
    system: SystemMessage
    meter: Meter
    more: Callable[[], Awaitable[list[Said]]] = nobody_joins
    tool_tokens: int = 0
    aloud: bool = True
    before: Sequence[AnyMessage] = ()
    workflows: dict[str, Workflow] = field(default_factory=dict)
    standbys: Standbys = field(default_factory=Standbys)
    text: str = ""
    usage: Usage = field(default_factory=lambda: Usage(cost_usd=0.0))
    steps: int = 0
    malformed: dict[str, str] = field(default_factory=dict)
    order: CallOrder = field(default_factory=CallOrder)
    places: dict[str, str] = field(default_factory=dict)
    _gap: str = ""

    async def model_step(self, messages: Sequence[AnyMessage]) -> AIMessage:
        """Ask the model for the next message. Raises AgentFailed."""
        if self.steps == MOST_STEPS:
            raise AgentFailed("too_many_steps", f"The agent took {MOST_STEPS} steps without reaching an answer.")
        self.steps += 1
        prompt = self._prompt(messages)
        if self.text:
            # What an earlier step said stands apart from this one's.
            self._gap = "\n\n"
        before = len(self.text)
        while True:
            said = self.text[before:].lstrip("\n")
            try:
                spoken = await self._ask(going_on(prompt, said))
            except AgentFailed as failure:
                if not self.aloud:
                    # Nobody has read it, so the next model begins anew.
                    self.text = self.text[:before]
                shown = bool(self.text[before:])
                self.model, self.listed = await self.standbys.after(failure, self.listed, shown=shown)
                continue
            await self.standbys.answered(self.listed)
            self.malformed = spoken.malformed
            if spoken.cut and self.aloud and not spoken.message.tool_calls:
                await self.toolbox.emit(Notice(CUT.format(self.listed.longest_answer)))
            message = spoken_whole(said, spoken.message)
            self._order_calls(message)
            return message

    async def _ask(self, prompt: Sequence[AnyMessage]) -> Spoken:
        """One call of the present model, metered; its text goes to the user."""

        async def on_text(piece: str) -> None:
            self.meter.heard(piece)
            await self._say(piece)

        await self.meter.begin(self.listed, prompt_tokens=prompt_tokens(prompt) + self.tool_tokens)
        try:
            with span("chat", **model_names(self.listed)) as current:
                spoken = await call_model(self.model, prompt, on_text=on_text)
                note_usage(current, spoken.usage)
        except AgentFailed as error:
            if error.took is not None:
                self.meter.took(error.took)
            raise
        calls = len(spoken.message.tool_calls) if self.aloud else 0
        await self.meter.end(spoken.usage, tool_calls=calls)
        self.usage += replace(spoken.usage, cost_usd=self.listed.cost_usd(spoken.usage))
        metrics.prompt_read(self.listed.provider, spoken.usage)
        if pictures := pictures_of(spoken.message):
            return replace(spoken, message=await self._show(spoken.message, pictures))
        return spoken

    async def _say(self, piece: str) -> None:
        piece, self._gap = self._gap + piece, ""
        self.text += piece
        if self.aloud:
            await self.toolbox.emit(Token(piece))

    async def _show(self, message: AIMessage, pictures: list[bytes]) -> AIMessage:
        """Show what the model has drawn; the message with words in its place."""
        images = await kept(pictures, keep=self.toolbox.keep_picture) if self.aloud else []
        message = with_images(without_pictures(message), images)
        if not message.text and not message.tool_calls:
            words = SHOWN if images else NOT_SHOWN
            await self._say(words)
            message = message.model_copy(update={"content": words})
        for image in images:
            await self.toolbox.emit(image)
        return message

    def _prompt(self, messages: Sequence[AnyMessage]) -> list[AnyMessage]:
        """What the model is asked with; all of it is the beginning of the next step's."""
        whole: list[AnyMessage] = [self.system, *repaired(messages)]
        return [*fitted(whole[:-1], model=self.listed, tool_tokens=self.tool_tokens), as_kept(whole[-1])]

    async def tool_step(self, request: ToolCallRequest) -> ToolMessage:
        """Run one tool call."""
        call = request.tool_call
        if workflow := self.workflows.get(call["name"]):
            # One that fits has taken the turn over by now.
            fault = complaint(workflow, call["args"]) or "Call it alone."
            return ToolMessage(fault, tool_call_id=call["id"], name=call["name"], status="error")
        call_id = call["id"] or ""
        async with self.order.turn_of(call_id):
            malformed, place = self.malformed.get(call_id), self.places.get(call_id, "")
            return await call_tool(self.toolbox, call, place=place, malformed=malformed)

    def _order_calls(self, message: AIMessage) -> None:
        """Let the calls of a message that only read run side by side, and the others one after the other."""
        tools = [self.toolbox.tools.by_model_name(call["name"]) for call in message.tool_calls]
        ids = [call["id"] or "" for call in message.tool_calls]
        self.order = CallOrder([(call, tool is None or tool.reads) for call, tool in zip(ids, tools, strict=True)])
        self.places = {call: f"{self.steps}/{number}" for number, call in enumerate(ids, 1)}


class _Hooks(AgentMiddleware[AgentState[Any], Run, Any]):
    """Model and tool calls go through the run in the context instead of what the agent was compiled with."""

    async def awrap_model_call(
        self,
        request: ModelRequest[Run],
        handler: Callable[[ModelRequest[Run]], Awaitable[ModelResponse[Any]]],  # noqa: ARG002 - replaced
    ) -> ModelResponse[Any]:
        run = request.runtime.context
        if run.toolbox.pending:
            raise Asked(request.messages)
        joined = [said_by_user(each) for each in await run.more()]
        added = [*request.messages, *joined]
        message = await run.model_step([*run.before, *added])
        if call := handed_over(message, run.workflows):
            raise HandOver(call, [*added, message])
        return ModelResponse(result=[*joined, message])

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],  # noqa: ARG002 - replaced
    ) -> ToolMessage:
        return await cast("Run", request.runtime.context).tool_step(request)


@cache
def compiled_agent() -> "CompiledStateGraph[Any, Run, Any, Any]":
    """The agent. Compiling takes some 10 ms, importing what it needs seconds."""
    keep_to_the_loop()
    never_asked = FakeListChatModel(responses=[])
    return create_agent(never_asked, tools=[], middleware=[_Hooks()], context_schema=Run)


async def run_loop(run: Run, messages: Sequence[AnyMessage]) -> list[AnyMessage]:
    """Let the agent work on `messages` and give the messages that it added.

    Raises AgentFailed, and HandOver or Asked with the messages that it added before it called a workflow, or tools asked.
    """
    # Each step is a model node and a node for its tools; ours ends the turn first, with a sentence.
    config = RunnableConfig(recursion_limit=2 * MOST_STEPS + 2)
    # Not in the graph's state, all of which it goes through at each step.
    run.before = messages
    state = await compiled_agent().ainvoke({"messages": []}, config, context=run)
    return list(state["messages"])
