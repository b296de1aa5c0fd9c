"""Which servers staff may put in place of a workspace: those below an entry of MCP_SERVER_URL_ALLOWLIST, and no other."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
# What URL parsers disagree about: white space and controls (urllib drops some), backslashes, anything but ASCII.
_PLAIN = re.compile(r"[!-\[\]-~]+")
# Dots, slashes, backslashes and per cents in disguise, which a server may read as such; and path parameters.
_DISGUISED = re.compile(r"%(2e|2f|5c|25)|;", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Place:
    """The parts of a URL that decide where a request goes."""

    scheme: str
    host: str
    port: int
    path: tuple[str, ...]

    def holds(self, other: "_Place") -> bool:
        """Whether `other` has the same origin and lies at or under this path."""
        same_origin = (self.scheme, self.host, self.port) == (other.scheme, other.host, other.port)
        return same_origin and other.path[: len(self.path)] == self.path


def is_allowed(url: str, allowlist: Iterable[str]) -> bool:
    """Whether an entry has the URL's origin and a path at or above its own, segment by segment.

    What can't be parsed beyond doubt, on either side, allows nothing.
    """
    place = _place(url)
    entries = [_place(entry) for entry in allowlist]
    return place is not None and any(entry.holds(place) for entry in entries if entry is not None)


@lru_cache(maxsize=1024)
def _place(url: str) -> _Place | None:
    if not _PLAIN.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    path = _segments(parts)
    if path is None or port is None or parts.scheme not in DEFAULT_PORTS:
        return None
    if not parts.hostname or "@" in parts.netloc or parts.fragment:
        return None
    return _Place(parts.scheme, parts.hostname.rstrip("."), port, path)


def _segments(parts: SplitResult) -> tuple[str, ...] | None:
    """The path by segments; None when one climbs, is empty in the middle, or hides a character that decides."""
    if not parts.path.strip("/"):
        return ()
    segments = parts.path.removeprefix("/").removesuffix("/").split("/")
    if any(segment in {"", ".", ".."} or _DISGUISED.search(segment) for segment in segments):
        return None
    return tuple(segments)
