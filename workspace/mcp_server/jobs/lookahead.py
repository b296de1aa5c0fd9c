"""Does a strategy look into the future? Its weights, computed again from fewer bars, must not change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from mcp_server.jobs.strategy_code import Frames, Strategy, common_times
from mcp_server.jobs.weights import Fault, Weights, shown, without_gaps

# The newest bars are where a peek shows for certain (there is nothing to peek at), on three different weekdays; the
# others catch what is scaled over the whole range. Together they cost about five runs.
CUT_BARS = (1, 2, 3)
CUT_SHARES = (0.9, 0.7, 0.5, 0.3)

# Adding the same numbers in blocks of another size rounds otherwise; a peek moves a weight by far more.
TOLERANCE = 1e-9


def check_look_ahead(strategy: Strategy, frames: Frames, *, params: dict[str, Any], weights: Weights) -> None:
    """Raises Fault LookAhead when a weight depends on bars after its own, NotDeterministic when on chance."""
    times = common_times(frames)
    for length in _lengths(len(times)):
        shorter = {symbol: frame.loc[: times[length - 1]] for symbol, frame in frames.items()}
        try:
            again = without_gaps(strategy.weights(shorter, params))
        except Fault:
            # A strategy may need more bars than are left; with one bar less than it had, it may not.
            if length == len(times) - 1:
                raise
            continue
        found = next(_changes(weights, again), None)
        if found is not None:
            _tell_chance(strategy, frames, params=params, weights=weights)
            raise _look_ahead(strategy, frames, length=length, found=found)


def _lengths(bars: int) -> list[int]:
    lengths = {bars - left_out for left_out in CUT_BARS} | {int(bars * share) for share in CUT_SHARES}
    return sorted((length for length in lengths if length > 0), reverse=True)


def _changes(weights: Weights, again: Weights) -> Iterator[tuple[str, int, float, float]]:
    """Symbol, place, first and second weight where the two differ."""
    for symbol, second in again.items():
        first = weights[symbol][: len(second)]
        for place in np.flatnonzero(np.abs(first - second) > TOLERANCE)[:1]:
            yield symbol, int(place), float(first[place]), float(second[place])


def _tell_chance(strategy: Strategy, frames: Frames, *, params: dict[str, Any], weights: Weights) -> None:
    """A second run over the same bars tells a strategy that draws lots from one that looks ahead."""
    if next(_changes(weights, without_gaps(strategy.weights(frames, params))), None) is not None:
        raise Fault(
            "NotDeterministic",
            "Two runs over the same bars gave different weights. Give every random generator a fixed seed, e.g. "
            "`numpy.random.default_rng(0)`, and don't use the clock.",
        )


def _look_ahead(strategy: Strategy, frames: Frames, *, length: int, found: tuple[str, int, float, float]) -> Fault:
    symbol, place, first, second = found
    suspect = strategy.suspect
    hint = f" Line {suspect.line} looks like it: `{suspect.text}` {suspect.why}." if suspect else ""
    message = (
        f"The weight of {symbol} at {shown(frames[symbol].index[place])} is {first:.6g} with all bars and {second:.6g} "
        f"when only the first {length} are known: it depends on later bars. Use only what is known at a bar's close: "
        f"`.shift(1)`, `.rolling(n)`, `.expanding()`, never a figure over all bars.{hint}"
    )
    return Fault("LookAhead", message, line=suspect.line if suspect else None)
