"""Tell Anthropic what to keep of a prompt: it caches only up to blocks that carry `cache_control`.

Source: platform.claude.com/docs, Prompt caching: at most four such blocks; a lookup goes back twenty blocks from each.
"""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from agents.prompt_marks import is_kept

MOST_MARKS = 4

_EPHEMERAL = {"type": "ephemeral"}
# Blocks that must not carry it.
_UNMARKED = {"thinking", "redacted_thinking"}


def with_cache_control(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The messages with the first and the last of the marked ones told to Anthropic."""
    marked = [index for index, message in enumerate(messages) if is_kept(message)]
    told = {*marked[:1], *marked[1:][-(MOST_MARKS - 1) :]}
    return [_told(message) if index in told else message for index, message in enumerate(messages)]


def _told(message: BaseMessage) -> BaseMessage:
    content: list[Any] = (
        [{"type": "text", "text": message.content}] if isinstance(message.content, str) else list(message.content)
    )
    last = content[-1] if content else None
    if not isinstance(last, dict) or last.get("type") in _UNMARKED or last.get("text") == "":
        return message
    content[-1] = {**last, "cache_control": _EPHEMERAL}
    return message.model_copy(update={"content": content})
