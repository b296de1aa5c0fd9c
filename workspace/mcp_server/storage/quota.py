"""How much a user may keep, by tier, and what of it the data file may take."""

from __future__ import annotations

MIB = 1024**2
GIB = 1024**3

# Source: DESIGN.md, section 5; the volume that Kubernetes gives the workspace has the same size.
TIER_BYTES = {"free": GIB, "pro": 10 * GIB, "enterprise": 50 * GIB}

# Of the volume stays free for the write-ahead log, for exports while they are fetched and for the filesystem itself.
RESERVED_PART = 8
MOST_RESERVED = GIB


def file_bytes(quota_bytes: int) -> int:
    """The largest data file under this quota: seven eighths, or all but 1 GiB of a large one."""
    return quota_bytes - min(quota_bytes // RESERVED_PART, MOST_RESERVED)
