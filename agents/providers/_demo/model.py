"""The demo model as a LangChain chat model, with streamed text and tool calls like any other."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from agents.prompt_marks import is_aside
from agents.prompts import prompt
from agents.providers._demo.digest import digest
from agents.providers._demo.rules import next_step
from agents.providers._demo.talk import Call, Say, Step, Talk, ToolReply

# A pace at which a person sees words come, and the most that it may add to an answer. Seconds.
WORD_S = 0.004
PACE_TOTAL_S = 0.4

# Characters per token, as a rule of thumb for English.
_CHARACTERS_PER_TOKEN = 4


class DemoChatModel(BaseChatModel):
    """Follows rules; calls the tools bound to it by the last part of their names."""

    model: str = "demo"

    @property
    def _llm_type(self) -> str:
        return "demo"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,  # noqa: ARG002 - LangChain's signature
        **kwargs: Any,
    ) -> Runnable[Any, AIMessage]:
        names = [convert_to_openai_tool(tool)["function"]["name"] for tool in tools]
        return self.bind(tool_names=names, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - LangChain's signature
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - LangChain's signature
        **kwargs: Any,
    ) -> ChatResult:
        chunks = list(_chunks(messages, kwargs.get("tool_names", ())))
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole = whole + chunk
        message = AIMessage(
            content=whole.content,
            tool_calls=whole.tool_calls,
            usage_metadata=whole.usage_metadata,
            response_metadata=whole.response_metadata,
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - LangChain's signature
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - LangChain's signature
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        waits = int(PACE_TOTAL_S / WORD_S)
        for index, message in enumerate(_chunks(messages, kwargs.get("tool_names", ()))):
            if 0 < index <= waits:
                await asyncio.sleep(WORD_S)
            yield ChatGenerationChunk(message=message)


def _chunks(messages: Sequence[BaseMessage], tool_names: Sequence[str]) -> Iterator[AIMessageChunk]:
    plain = {name.rpartition("__")[2]: name for name in tool_names}
    talk = _talk(messages, tuple(plain))
    step = next_step(talk) if not _wants_summary(messages) else Say(digest(messages[-1].text))
    if isinstance(step, Call) and step.tool not in plain:
        step = Say(f"For that I would need the tool {step.tool}, which your workspace does not have.")
    pieces = re.findall(r"\s*\S+", step.text) if isinstance(step, Say) else []
    for piece in pieces:
        yield AIMessageChunk(content=piece)
    if isinstance(step, Call):
        # Deterministic: a repeated run of the same turn makes the same call.
        call_id = f"demo-{len(messages)}"
        arguments = json.dumps(step.arguments)
        chunk = tool_call_chunk(name=plain[step.tool], args=arguments, id=call_id, index=0)
        yield AIMessageChunk(content="", tool_call_chunks=[chunk])
    finish = "tool_calls" if isinstance(step, Call) else "stop"
    yield AIMessageChunk(
        content="",
        usage_metadata=_usage(messages, step),
        response_metadata={"finish_reason": finish, "model_name": "demo"},
    )


def _wants_summary(messages: Sequence[BaseMessage]) -> bool:
    return bool(messages) and isinstance(messages[0], SystemMessage) and messages[0].text == prompt("summary").text


def _talk(messages: Sequence[BaseMessage], tools: tuple[str, ...]) -> Talk:
    said = [message.text for message in messages if isinstance(message, HumanMessage) and not is_aside(message)]
    last = max((i for i, message in enumerate(messages) if isinstance(message, HumanMessage)), default=-1)
    replies = [_reply(message) for message in messages[last + 1 :] if isinstance(message, ToolMessage)]
    return Talk(tuple(said), tuple(replies), tools)


def _reply(message: ToolMessage) -> ToolReply:
    tool = (message.name or "").rpartition("__")[2]
    try:
        values = json.loads(message.text)
    except ValueError:
        values = None
    usable = isinstance(values, dict) and message.status != "error"
    return ToolReply(tool=tool, values=values if usable else None, text=message.text)


def _usage(messages: Sequence[BaseMessage], step: Step) -> UsageMetadata:
    """Tokens by rule of thumb, so that counters and budgets have something to show."""
    read = sum(len(message.text) for message in messages) // _CHARACTERS_PER_TOKEN
    written = len(step.text if isinstance(step, Say) else json.dumps(step.arguments)) // _CHARACTERS_PER_TOKEN
    return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)
