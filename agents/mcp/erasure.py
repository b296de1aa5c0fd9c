"""Erase what a workspace keeps of a conversation."""

from accounts.licences import Licence
from agents.mcp.errors import CallFailed, Reason, workspace_failure
from agents.mcp.limits import READ_S
from agents.mcp.pool import pool
from agents.mcp.session import Session


async def delete_history(licence: Licence, conversation: str) -> None:
    """See `agents.erasure.erase_conversation`."""
    try:
        await _delete(pool().session(licence), conversation)
    except CallFailed as error:
        raise workspace_failure(error) from error


async def _delete(session: Session, conversation: str) -> None:
    """Of a server that keeps no conversations (one set by staff) there is nothing to delete."""
    if not (await session.tools()).has("delete_conversation"):
        return
    outcome = await session.call_tool("delete_conversation", {"conversation": conversation}, deadline_s=READ_S)
    if outcome.failed:
        raise CallFailed(Reason.REFUSED, outcome.summary())
