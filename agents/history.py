"""A conversation's history for the rest of the gateway: read from the user's workspace, and written to it."""

from dataclasses import dataclass
from typing import Any, cast

from accounts.licences import Licence
from agents.lazy import load

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Messages, oldest first: turn, role, content, at, and model, channel, name, tool_calls or tool_call_id where there
    are any. `before` asks for the page of older ones, None = there are none; `last` is the position of the newest one.
    """

    items: list[JSON]
    before: int | None = None
    last: int | None = None


async def read_history(
    licence: Licence, conversation: str, *, before: int | None = None, limit: int = 50
) -> HistoryPage:
    """The newest `limit` messages, or those older than `before`; starts the workspace if need be. Raises AgentFailed."""
    reader = await load("agents.mcp.history")
    return cast("HistoryPage", await reader.read_history(licence, conversation, before=before, limit=limit))


async def append_turn(licence: Licence, conversation: str, turn: str, messages: list[JSON]) -> None:  # noqa: PLR0917 - the engine's seam
    """Store a turn's messages (an Answer's), shortened where they are too long; again is no error.

    What the workspace refuses all the same is stored in a few words. Raises AgentFailed, and of it HistoryRefused when not
    even those words are taken, as by a server that keeps no conversations.
    """
    writer = await load("agents.mcp.history")
    await writer.append_turn(licence, conversation, turn=turn, messages=messages)


async def warm_up() -> None:
    """Import what the first look at a history would wait for."""
    await load("agents.mcp.history")
