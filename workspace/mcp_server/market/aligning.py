"""Bars of several instruments over the same times."""

from __future__ import annotations

from collections.abc import Mapping

from mcp_server.market.bars import Bars


def aligned(bars: Mapping[str, Bars]) -> dict[str, Bars]:
    """The bars at the times that every symbol has one for."""
    common = set.intersection(*(set(each.times) for each in bars.values()))
    return {symbol: each if len(each) == len(common) else each.at(common) for symbol, each in bars.items()}
