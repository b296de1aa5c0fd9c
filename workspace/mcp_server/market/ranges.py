"""Cut a range out of an instrument's bars."""

from __future__ import annotations

from mcp_server.errors import NoBars
from mcp_server.market.bars import Bars


def select(symbol: str, bars: Bars, *, start: str | None, end: str | None) -> Bars:
    """The bars from `start` to `end`, at least one. Raises NoBars with the dates that there are."""
    found = bars.between(start, end)
    if not found:
        asked = f"from {start or 'the beginning'} to {end or 'the end'}"
        raise NoBars(f"{symbol} has no bars {asked}. It has {len(bars)} from {bars.date(0)} to {bars.date(-1)}.")
    return found
