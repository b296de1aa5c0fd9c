"""A conversation's messages, which the workspace keeps."""

from typing import Any

import structlog

from accounts.licences import Licence
from agents.errors import HistoryRefused
from agents.history import JSON, HistoryPage
from agents.mcp.errors import CallFailed, Reason, workspace_failure
from agents.mcp.keeping import kept, stand_in
from agents.mcp.limits import READ_S
from agents.mcp.pool import pool
from agents.mcp.session import Session
from agents.mcp.tools import ToolSet

_APPEND = "append_messages"

log = structlog.get_logger(__name__)


async def read_history(licence: Licence, conversation: str, *, before: int | None, limit: int) -> HistoryPage:
    """See `agents.history.read_history`."""
    session = pool().session(licence)
    try:
        return await read_page(session, await session.tools(), conversation, before=before, limit=limit)
    except CallFailed as error:
        raise workspace_failure(error) from error


async def append_turn(licence: Licence, conversation: str, *, turn: str, messages: list[JSON]) -> None:
    """See `agents.history.append_turn`."""
    session, named = pool().session(licence), {"conversation": conversation, "turn": turn}
    try:
        if not (await session.tools()).has(_APPEND):
            raise HistoryRefused("workspace_unreachable", retryable=True)
        try:
            await _call(session, _APPEND, {**named, "messages": kept(messages)})
        except CallFailed as error:
            if error.reason is not Reason.REFUSED:
                raise
            # It would be again.
            log.error("history_refused", turn=turn, cause=error.message)  # noqa: TRY400 - the workspace's words say all
            await _call(session, _APPEND, {**named, "messages": stand_in(messages)})
    except CallFailed as error:
        if error.reason is Reason.REFUSED:
            raise HistoryRefused("workspace_unreachable", retryable=True) from error
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
