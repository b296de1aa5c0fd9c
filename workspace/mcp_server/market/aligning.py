"""Bars of several instruments over the same times."""

from __future__ import annotations

from array import array
from collections.abc import Mapping

from mcp_server.market.bars import Bars


def aligned(bars: Mapping[str, Bars]) -> dict[str, Bars]:
    """The bars at the times that every symbol has one for."""
    common = set.intersection(*(set(each.times) for each in bars.values()))
    return {symbol: each if len(each) == len(common) else _at(each, common) for symbol, each in bars.items()}


def _at(bars: Bars, times: set[int]) -> Bars:
    kept = [index for index, time in enumerate(bars.times) if time in times]
    columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    picked = (array("d", (column[index] for index in kept)) for column in columns)
    return Bars(bars.interval, array("q", (bars.times[index] for index in kept)), *picked)
