"""The windows of messages as HTTP fields.

Source: draft-ietf-httpapi-ratelimit-headers-10: `RateLimit-Policy: "minute";q=10;w=60` and `RateLimit: "minute";r=3;t=12`, each
a list of structured fields (RFC 9651).
"""

from collections.abc import Sequence
from math import ceil

from accounts.errors import Window


def rate_headers(windows: Sequence[Window]) -> dict[str, str]:
    """The fields for the windows that have a limit; none for none."""
    limited = [window for window in windows if window.limit is not None]
    if not limited:
        return {}
    return {
        "RateLimit-Policy": ", ".join(f'"{each.name}";q={each.limit};w={each.seconds}' for each in limited),
        "RateLimit": ", ".join(_state(each) for each in limited),
    }


def _state(window: Window) -> str:
    left = max(0, (window.limit or 0) - window.used)
    # Without an end there is nothing to wait for.
    reset = "" if window.resets_in_s is None else f";t={max(0, ceil(window.resets_in_s))}"
    return f'"{window.name}";r={left}{reset}'
