"""How many tokens a model call will take, before the vendor tells: rather too many than too few."""

import json
from collections.abc import Sequence

from langchain_core.messages import AIMessage, BaseMessage

from agents.mcp.tools import ToolSet

# English has about four bytes a token, figures and JSON three, Chinese and Japanese three bytes a character of about one token.
BYTES_PER_TOKEN = 3
# What roles and separators take of a message.
MESSAGE_TOKENS = 8
# What a picture takes at the most at Anthropic (width * height / 750, of 1,568 pixels a side at most); others take less.
PICTURE_TOKENS = 1600
# Lists of tools whose size is kept: workspaces of one version share one.
MOST_KEPT = 64

_of_tools: dict[str, int] = {}


def text_tokens(text: str) -> int:
    """The tokens of a text."""
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


def prompt_tokens(messages: Sequence[BaseMessage]) -> int:
    """The tokens of a model's input, without its tools."""
    return sum(
        MESSAGE_TOKENS + text_tokens(message.text) + _call_tokens(message) + _picture_tokens(message)
        for message in messages
    )


def tool_tokens(tools: ToolSet) -> int:
    """The tokens that the definitions of the offered tools take of each prompt."""
    if tools.digest not in _of_tools:
        if len(_of_tools) >= MOST_KEPT:
            _of_tools.clear()
        _of_tools[tools.digest] = sum(text_tokens(json.dumps(tool.for_model())) for tool in tools.offered())
    return _of_tools[tools.digest]


def _picture_tokens(message: BaseMessage) -> int:
    if isinstance(message.content, str):
        return 0
    pictures = [part for part in message.content if isinstance(part, dict) and part.get("type") == "image"]
    return PICTURE_TOKENS * len(pictures)


def _call_tokens(message: BaseMessage) -> int:
    if not isinstance(message, AIMessage) or not message.tool_calls:
        return 0
    return text_tokens(json.dumps([call["args"] for call in message.tool_calls], default=str))
