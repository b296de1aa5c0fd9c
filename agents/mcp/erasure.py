"""Erase what a workspace keeps of a conversation."""

from accounts.licences import Licence
from agents.mcp.errors import CallFailed, Reason, workspace_failure
from agents.mcp.limits import READ_S
from agents.mcp.pool import pool


async def delete_history(licence: Licence, conversation: str) -> None:
    """See `agents.erasure.erase_conversation`."""
    session = pool().session(licence)
    try:
        if not (await session.tools()).has("delete_conversation"):
            return
        outcome = await session.call_tool("delete_conversation", {"conversation": conversation}, deadline_s=READ_S)
        if outcome.failed:
            raise CallFailed(Reason.REFUSED, outcome.summary())
    except CallFailed as error:
        raise workspace_failure(error) from error
