"""Price bars of the workspace, for the gateway's own use."""

from typing import Any

from accounts.licences import Licence
from agents.errors import ToolRefused
from agents.mcp.errors import CallFailed, Reason, workspace_failure
from agents.mcp.limits import TOOL_S
from agents.mcp.pool import pool


async def read_bars(licence: Licence, arguments: dict[str, Any]) -> dict[str, Any]:
    """What `get_bars` answers; starts the workspace if need be. Raises AgentFailed, and ToolRefused with its own words."""
    try:
        outcome = await pool().session(licence).call_tool("get_bars", arguments, deadline_s=TOOL_S)
    except CallFailed as error:
        if error.reason is Reason.REFUSED:
            raise ToolRefused(error.message) from error
        raise workspace_failure(error) from error
    if outcome.failed or outcome.structured is None:
        text = " ".join(outcome.text.removeprefix("Error executing tool get_bars: ").split())
        raise ToolRefused(text[:300] or "The workspace gave no bars.")
    return outcome.structured
