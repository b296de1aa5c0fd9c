"""Erase a conversation, here and in the user's workspace."""

from accounts.licences import active_licence
from agents.conversations import delete_conversation, get_conversation
from agents.errors import Refused
from agents.lazy import load
from agents.open_turns import open_turns


async def erase_conversation(user_id: str, conversation: str) -> None:
    """Delete a conversation's messages in the workspace, which is started if need be, and then its rows.

    Raises Refused `not_found` or `busy` (a message of it is being answered), AgentFailed or NotLicensed when the workspace
    can't be reached; then nothing is lost but may be half of it, and again is no error.
    """
    conversation = (await get_conversation(user_id, conversation)).id
    if await open_turns(user_id, conversation=conversation):
        raise Refused("busy", "A message of this conversation is being answered. Stop it first.")
    eraser = await load("agents.mcp.erasure")
    await eraser.delete_history(await active_licence(user_id), conversation)
    await delete_conversation(user_id, conversation)
