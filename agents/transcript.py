"""Messages as the workspace stores them, and as LangChain's models take them."""

from collections.abc import Iterable, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, ToolMessage

from agents.drawn import images_of
from agents.harness_types import Said
from agents.mcp.limits import capped
from agents.mcp.tools import NAMESPACE
from agents.prompt_marks import as_kept
from agents.window import HISTORY_TOKENS, first_shown

JSON = dict[str, Any]

# A tool's result of an earlier turn is a reminder of what was looked at, not the material itself.
STORED_RESULT_BYTES = 4 * 1024

# An argument may be a whole CSV file; what it was is seen from its beginning.
STORED_ARGUMENT_CHARACTERS = 500

# What one answer of an earlier turn may take of a prompt: half of HISTORY_TOKENS in any script.
RECALLED_ANSWER_BYTES = 48 * 1024

_CHANNEL = "dexorder_channel"
_MS = "dexorder_ms"

INTERRUPTED = "[This call was interrupted; its result is not known.]"


def recalled(stored: Sequence[JSON], *, budget: int = HISTORY_TOKENS) -> list[AnyMessage]:
    """Stored messages, oldest first, as the beginning of a model's input: whole turns, in order, within the budget.

    The last message of each of the last two turns is marked: the one ends what the turn before has had a provider keep,
    the other what the next turn will find.
    """
    turns = [[_message(each) for each in turn] for turn in _turns(stored)]
    shown = turns[first_shown(turns, budget=budget) :]
    for turn in shown[-2:]:
        turn[-1] = as_kept(turn[-1])
    return repaired(message for turn in shown for message in turn)


def repaired(messages: Iterable[AnyMessage]) -> list[AnyMessage]:
    """The messages so that every provider takes them: it begins with the user's, each tool call is followed by its
    one result (made up as interrupted where it is missing), and no result stands without its call."""
    result: list[AnyMessage] = []
    open_calls: dict[str, str] = {}
    for message in messages:
        if isinstance(message, ToolMessage):
            if open_calls.pop(message.tool_call_id, None) is not None:
                result.append(message)
            continue
        result += _interrupted(open_calls)
        open_calls = {}
        if not result and not isinstance(message, HumanMessage):
            continue
        if isinstance(message, AIMessage):
            if not message.tool_calls and not message.text:
                continue
            open_calls = {call["id"] or "": call["name"] for call in message.tool_calls}
        result.append(message)
    return result + _interrupted(open_calls)


def stored(messages: Iterable[BaseMessage], *, model: str) -> list[JSON]:
    """The agent's messages of a turn in stored form; `model` is who wrote them."""
    found: list[JSON] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            found.append(
                {
                    "role": "tool",
                    "content": capped(message.text, limit_bytes=STORED_RESULT_BYTES),
                    "tool_call_id": message.tool_call_id,
                    "name": plain_name(message.name or ""),
                    **({"images": message.artifact} if message.artifact else {}),
                    **({"ms": message.additional_kwargs[_MS]} if _MS in message.additional_kwargs else {}),
                    **({"failed": True} if message.status == "error" else {}),
                }
            )
        elif isinstance(message, HumanMessage):
            channel = message.additional_kwargs.get(_CHANNEL)
            found.append({"role": "user", "content": message.text, **({"channel": channel} if channel else {})})
        elif isinstance(message, AIMessage):
            calls = [
                {"id": call["id"], "name": plain_name(call["name"]), "arguments": shortened(call["args"])}
                for call in message.tool_calls
            ]
            found.append(
                {
                    "role": "assistant",
                    "content": message.text,
                    "model": model,
                    **({"tool_calls": calls} if calls else {}),
                    **({"images": shown} if (shown := images_of(message)) else {}),
                }
            )
    return found


def said_by_user(said: Said) -> HumanMessage:
    """What the user added while the answer was being written."""
    return HumanMessage(said.content, additional_kwargs={_CHANNEL: said.channel})


def timed(message: ToolMessage, *, ms: int) -> ToolMessage:
    """The message of a tool that took so many milliseconds, which is stored with it."""
    return message.model_copy(update={"additional_kwargs": {**message.additional_kwargs, _MS: ms}})


def plain_name(model_name: str) -> str:
    """A tool's own name."""
    return model_name.removeprefix(NAMESPACE)


def shortened(arguments: JSON) -> JSON:
    """A tool's arguments to show or store: long texts are cut."""
    return {
        name: f"{value[:STORED_ARGUMENT_CHARACTERS]}…"
        if isinstance(value, str) and len(value) > STORED_ARGUMENT_CHARACTERS
        else value
        for name, value in arguments.items()
    }


def _message(stored_message: JSON) -> AnyMessage:
    role, content = stored_message.get("role"), str(stored_message.get("content") or "")
    if role == "tool":
        name = NAMESPACE + str(stored_message.get("name", ""))
        return ToolMessage(content, tool_call_id=str(stored_message.get("tool_call_id", "")), name=name)
    if role == "assistant":
        calls = [
            {"type": "tool_call", "id": str(call["id"]), "name": NAMESPACE + call["name"], "args": call["arguments"]}
            for call in stored_message.get("tool_calls") or ()
        ]
        return AIMessage(capped(content, limit_bytes=RECALLED_ANSWER_BYTES), tool_calls=calls)
    names = ", ".join(map(str, stored_message.get("attachments") or ()))
    return HumanMessage(f"{content}\n\n[Attached: {names}]" if names else content)


def _turns(stored: Sequence[JSON]) -> list[list[JSON]]:
    """The messages of each turn; of messages that name none, a turn begins with the user's words."""
    turns: list[list[JSON]] = []
    for message in stored:
        before = turns[-1][-1] if turns else None
        same = before is not None and before.get("turn") == message.get("turn")
        if before is None or not same or (message.get("turn") is None and message.get("role") == "user"):
            turns.append([])
        turns[-1].append(message)
    return turns


def _interrupted(open_calls: dict[str, str]) -> list[AnyMessage]:
    return [ToolMessage(INTERRUPTED, tool_call_id=call, name=name, status="error") for call, name in open_calls.items()]
