"""The agent: a model and tools in turn, by LangChain's `create_agent`.

One compiled agent serves every turn. What belongs to a turn (its model, its tools, where its events go) comes with the
run's context, and two hooks do the work: so nothing is compiled or bound anew for a turn.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse, ToolCallRequest
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, AnyMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from agents.catalogue import Model
from agents.errors import AgentFailed
from agents.estimates import prompt_tokens
from agents.events import Token, Usage
from agents.harness_types import Meter
from agents.model_step import BoundModel, call_model
from agents.tool_step import Toolbox, call_tool
from agents.transcript import repaired

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

# Model calls in one turn. A turn that needs more has usually lost its way.
MOST_STEPS = 12


@dataclass(slots=True)
class Run:
    """One turn's run: what it works with, and what has come of it so far.

    `listed` is the model as the catalogue has it, `tool_tokens` what the definitions of its tools take of each prompt.
    """

    model: BoundModel
    listed: Model
    toolbox: Toolbox
    system: SystemMessage
    meter: Meter
    tool_tokens: int = 0
    text: str = ""
    usage: Usage = field(default_factory=Usage)
    steps: int = 0
    malformed: dict[str, str] = field(default_factory=dict)

    async def model_step(self, messages: Sequence[AnyMessage]) -> AIMessage:
        """Ask the model for the next message. Raises AgentFailed."""
        if self.steps == MOST_STEPS:
            raise AgentFailed("too_many_steps", f"The agent took {MOST_STEPS} steps without reaching an answer.")
        self.steps += 1
        spoke_before, began = bool(self.text), False

        async def on_text(piece: str) -> None:
            nonlocal began
            if spoke_before and not began:
                piece = "\n\n" + piece
            began = True
            self.text += piece
            self.meter.heard(piece)
            await self.toolbox.emit(Token(piece))

        prompt = [self.system, *repaired(messages)]
        await self.meter.begin(self.listed, prompt_tokens=prompt_tokens(prompt) + self.tool_tokens)
        try:
            spoken = await call_model(self.model, prompt, on_text=on_text)
        except AgentFailed as error:
            if error.took is not None:
                self.meter.took(error.took)
            raise
        await self.meter.end(spoken.usage, tool_calls=len(spoken.message.tool_calls))
        self.usage += spoken.usage
        self.malformed = spoken.malformed
        return spoken.message

    async def tool_step(self, request: ToolCallRequest) -> ToolMessage:
        """Run one tool call."""
        call = request.tool_call
        return await call_tool(self.toolbox, call, malformed=self.malformed.get(call["id"] or ""))


class _Hooks(AgentMiddleware[AgentState[Any], Run, Any]):
    """Model and tool calls go through the run in the context instead of what the agent was compiled with."""

    async def awrap_model_call(
        self,
        request: ModelRequest[Run],
        handler: Callable[[ModelRequest[Run]], Awaitable[ModelResponse[Any]]],  # noqa: ARG002 - replaced
    ) -> ModelResponse[Any]:
        return ModelResponse(result=[await request.runtime.context.model_step(request.messages)])

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],  # noqa: ARG002 - replaced
    ) -> ToolMessage:
        return await cast("Run", request.runtime.context).tool_step(request)


@cache
def compiled_agent() -> "CompiledStateGraph[Any, Run, Any, Any]":
    """The agent. Compiling takes some 10 ms, importing what it needs seconds."""
    never_asked = FakeListChatModel(responses=[])
    return create_agent(never_asked, tools=[], middleware=[_Hooks()], context_schema=Run)


async def run_loop(run: Run, messages: Sequence[AnyMessage]) -> list[AnyMessage]:
    """Let the agent work on `messages` and give the messages that it added. Raises AgentFailed."""
    # Each step is a model node and a node for its tools; ours ends the turn first, with a sentence.
    config = RunnableConfig(recursion_limit=2 * MOST_STEPS + 2)
    state = await compiled_agent().ainvoke({"messages": list(messages)}, config, context=run)
    return list(state["messages"][len(messages) :])
