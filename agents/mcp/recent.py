"""What a turn reads of its conversation: the newest messages, and the summary of those before them."""

import json
from dataclasses import dataclass
from typing import Any

from agents.mcp.errors import CallFailed, Reason
from agents.mcp.history import read_page
from agents.mcp.limits import RESPONSE_BYTES
from agents.mcp.session import Session
from agents.mcp.tools import ToolSet

JSON = dict[str, Any]

# Of a server that keeps no summaries.
MOST_MESSAGES = 50


@dataclass(frozen=True, slots=True)
class Recent:
    """The newest messages that the summary does not cover, oldest first; `last` is the position of the newest one."""

    items: list[JSON]
    summary: str = ""
    last: int | None = None


async def read_recent(session: Session, tools: ToolSet, conversation: str) -> Recent:
    """The conversation as its next turn needs it. Raises CallFailed."""
    if not tools.has("set_summary"):
        page = await read_page(session, tools, conversation, limit=MOST_MESSAGES)
        return Recent(page.items)
    text = await session.read_resource(f"conversation://{conversation}", limit_bytes=RESPONSE_BYTES)
    try:
        return _recent(json.loads(text))
    except (ValueError, RecursionError, TypeError, AttributeError) as error:
        raise CallFailed(Reason.REFUSED, "Its answer is not a conversation.") from error


def _recent(found: JSON) -> Recent:
    items = [each for each in found["messages"] if isinstance(each, dict)]
    summary = (found.get("summary") or {}).get("text") or ""
    last = found.get("last")
    return Recent(items, str(summary), last if isinstance(last, int) else None)
