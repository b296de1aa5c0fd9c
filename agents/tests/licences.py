"""Licences for tests that need no database."""

from accounts.licences import Licence
from accounts.tiers import FEATURES, LIMITS, Tier


def licence(user: str = "demo-pro", *, tier: Tier = "pro", url: str = "") -> Licence:
    """A tier's licence, with a server set by staff when `url` is given."""
    return Licence(user, f"{user}@example.com", tier, FEATURES[tier], LIMITS[tier], mcp_server_url=url, expires_at=None)
