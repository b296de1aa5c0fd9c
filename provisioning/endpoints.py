"""Where a user's tools are: the workspace's own address, or a server that staff has set in its place."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import structlog
from django.conf import settings

from provisioning.errors import Cause, WorkspaceFailed

DEFAULT_PORTS = {"http": 80, "https": 443}
# What URL parsers disagree about: white space and controls (urllib drops some), backslashes, anything but ASCII.
_PLAIN = re.compile(r"[!-\[\]-~]+")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Endpoint:
    """An MCP server for one user; `token()` gives a bearer token that is good for half a minute at least."""

    url: str
    user_id: str
    token: Callable[[], str]


@dataclass(frozen=True)
class _Place:
    """The parts of a URL that decide where a request goes."""

    scheme: str
    host: str
    port: int
    path: tuple[str, ...]

    def holds(self, other: "_Place") -> bool:
        """Whether `other` has the same origin and lies at or under this path."""
        return (self.scheme, self.host, self.port) == (other.scheme, other.host, other.port) and (
            other.path[: len(self.path)] == self.path
        )


def allowed_url(url: str) -> str:
    """`url` when an entry of MCP_SERVER_URL_ALLOWLIST has its origin and a path above it.

    Raises WorkspaceFailed otherwise, with an empty list too: the user's tokens would go to that server.
    """
    if not is_allowed(url, settings.MCP_SERVER_URL_ALLOWLIST):
        log.error("mcp_server_url_not_allowed", host=_host(url))
        raise WorkspaceFailed(Cause.NOT_ALLOWED, detail="mcp_server_url matches no entry of MCP_SERVER_URL_ALLOWLIST")
    return url


def is_allowed(url: str, allowlist: Iterable[str]) -> bool:
    """Whether an entry allows the URL; what can't be parsed beyond doubt, on either side, allows nothing."""
    place = _place(url)
    entries = [_place(entry) for entry in allowlist]
    return place is not None and any(entry.holds(place) for entry in entries if entry is not None)


def _place(url: str) -> _Place | None:
    if not _PLAIN.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    if port is None or not parts.hostname or "@" in parts.netloc or parts.fragment:
        return None
    path = _segments(parts)
    return _Place(parts.scheme, parts.hostname.rstrip("."), port, path) if path is not None else None


def _segments(parts: SplitResult) -> tuple[str, ...] | None:
    """The path by segments; None when one climbs, is empty in the middle, or hides a character that decides."""
    segments = parts.path.removeprefix("/").removesuffix("/").split("/") if parts.path.strip("/") else []
    if any(
        segment in {"", ".", ".."} or re.search(r"%(2e|2f|5c|25)|;", segment, re.IGNORECASE) for segment in segments
    ):
        return None
    return tuple(segments)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
