"""A conversation's messages, which the workspace keeps."""

from typing import Any

from accounts.licences import Licence
from agents.history import JSON, HistoryPage
from agents.mcp.errors import CallFailed, Reason, workspace_failure
from agents.mcp.limits import READ_S
from agents.mcp.pool import pool
from agents.mcp.session import Session
from agents.mcp.tools import ToolSet


async def read_history(licence: Licence, conversation: str, *, before: int | None, limit: int) -> HistoryPage:
    """See `agents.history.read_history`."""
    session = pool().session(licence)
    try:
        return await read_page(session, await session.tools(), conversation, before=before, limit=limit)
    except CallFailed as error:
        raise workspace_failure(error) from error


async def append_turn(licence: Licence, conversation: str, *, turn: str, messages: list[JSON]) -> None:
    """See `agents.history.append_turn`."""
    arguments = {"conversation": conversation, "turn": turn, "messages": messages}
    try:
        await _call(pool().session(licence), "append_messages", arguments)
    except CallFailed as error:
        raise workspace_failure(error) from error


async def read_page(
    session: Session, tools: ToolSet, conversation: str, *, before: int | None = None, limit: int
) -> HistoryPage:
    """The newest `limit` messages, or those older than `before`. Raises CallFailed.

    Of a server that keeps no conversations (one set by staff) the page is empty.
    """
    if not tools.has("get_conversation"):
        return HistoryPage([])
    arguments: JSON = {"conversation": conversation, "limit": limit}
    if before is not None:
        arguments["before"] = before
    found = await _call(session, "get_conversation", arguments)
    messages, older = found.get("messages"), found.get("before")
    if not isinstance(messages, list):
        raise CallFailed(Reason.REFUSED, "Its answer is not a page of messages.")
    items = [each for each in messages if isinstance(each, dict)]
    last = found.get("last")
    return HistoryPage(items, older if isinstance(older, int) else None, last if isinstance(last, int) else None)


async def _call(session: Session, tool: str, arguments: dict[str, Any]) -> JSON:
    outcome = await session.call_tool(tool, arguments, deadline_s=READ_S)
    if outcome.failed or outcome.structured is None:
        raise CallFailed(Reason.REFUSED, outcome.summary())
    return outcome.structured
