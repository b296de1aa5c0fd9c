"""Pictures that the workspace keeps."""

from accounts.licences import Licence
from agents.mcp.errors import CallFailed, Reason, workspace_failure
from agents.mcp.pool import pool

# Source: PNG specification, section 5.2.
PNG = b"\x89PNG\r\n\x1a\n"


async def read_png(licence: Licence, uri: str) -> bytes | None:
    """The picture at `uri` of the user's workspace; None when there is none, or it is no PNG. Raises AgentFailed."""
    try:
        content = await pool().session(licence).read_blob(uri)
    except CallFailed as error:
        if error.reason is Reason.REFUSED:
            return None
        raise workspace_failure(error) from error
    return content if content.startswith(PNG) else None
