"""Where a user's tools are: the workspace's own address, or a server that staff has set in its place."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog
from django.conf import settings

from accounts.mcp_servers import is_allowed
from provisioning.errors import Cause, WorkspaceFailed

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Endpoint:
    """An MCP server for one user; `token()` gives a bearer token that is good for half a minute at least."""

    url: str
    user_id: str
    token: Callable[[], str]


def allowed_url(url: str) -> str:
    """`url` when an entry of MCP_SERVER_URL_ALLOWLIST has its origin and a path above it.

    Raises WorkspaceFailed otherwise, with an empty list too: the user's tokens would go to that server.
    """
    if not is_allowed(url, settings.MCP_SERVER_URL_ALLOWLIST):
        log.error("mcp_server_url_not_allowed", host=_host(url))
        raise WorkspaceFailed(Cause.NOT_ALLOWED, detail="mcp_server_url matches no entry of MCP_SERVER_URL_ALLOWLIST")
    return url


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
