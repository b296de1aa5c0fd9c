"""How much of a conversation fits into a model's window. Pure.

The beginning of what is shown moves in leaps, not with every message: providers cache the longest beginning that two
prompts share, so that a window that slides by one turn would make each prompt a new one.
"""

from collections.abc import Sequence

from langchain_core.messages import AnyMessage, BaseMessage, ToolMessage

from agents.catalogue import Model
from agents.estimates import prompt_tokens

# Earlier turns in full; what is older is in the summary. More costs more than it helps, whatever the model holds.
HISTORY_TOKENS = 32_000
# Even a small window shows the last words.
LEAST_HISTORY_TOKENS = 2_000
# For the system prompt, the aside, the message, and the tools' results of this turn.
OTHER_TOKENS = 24_000

LEFT_OUT = "[This result was left out to make room; call the tool again if you need it.]"


def history_budget(model: Model, *, tool_tokens: int) -> int:
    """Tokens for the messages of earlier turns."""
    if model.context is None:
        return HISTORY_TOKENS
    room = (model.context - tool_tokens - OTHER_TOKENS) // 2
    return max(LEAST_HISTORY_TOKENS, min(HISTORY_TOKENS, room))


def first_shown(turns: Sequence[Sequence[AnyMessage]], *, budget: int) -> int:
    """The index of the first turn to show of turns that begin where the summary ends.

    Whenever the budget is passed the older half of it is dropped, so that the next turns find the same beginning.
    """
    sizes = [prompt_tokens(turn) for turn in turns]
    first, used = 0, 0
    for index, size in enumerate(sizes):
        used += size
        if used <= budget:
            continue
        while first < index and used > budget // 2:
            used -= sizes[first]
            first += 1
    return first


def fitted(messages: Sequence[AnyMessage], *, model: Model, tool_tokens: int) -> list[AnyMessage]:
    """The prompt with the oldest results of tools left out as far as the model's window demands it."""
    if model.context is None:
        return list(messages)
    excess = prompt_tokens(messages) + tool_tokens + model.longest_answer - model.context
    result: list[AnyMessage] = []
    for message in messages:
        if excess > 0 and isinstance(message, ToolMessage):
            shorter = message.model_copy(update={"content": LEFT_OUT})
            saved = _tokens(message) - _tokens(shorter)
            if saved > 0:
                excess -= saved
                message = shorter  # noqa: PLW2901 - what goes on
        result.append(message)
    return result


def _tokens(message: BaseMessage) -> int:
    return prompt_tokens([message])
