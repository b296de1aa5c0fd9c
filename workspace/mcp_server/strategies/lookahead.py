"""Does a strategy look into the future? Its weights, computed again from fewer bars, must not change.

The runs over fewer bars are jobs of their own, in fresh processes that never see the later bars, and what they answer is
compared here: neither a cache, a file nor a changed module carries anything from the run over all bars to them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mcp_server.errors import StrategyFailed
from mcp_server.market.aligning import aligned
from mcp_server.market.bars import Bars
from mcp_server.market.times import DAY, show_date, show_moment
from mcp_server.strategies.contract import Problem
from mcp_server.strategies.signals import Run, Signals, ToldProblem, Weights, told_faults, weights_of
from mcp_server.strategies.suspects import Suspect, find_suspects

# The newest bars are where a peek shows for certain (there is nothing to peek at), on three different weekdays; the
# others catch what is scaled over the whole range. Together they cost about five runs.
CUT_BARS = (1, 2, 3)
CUT_SHARES = (0.9, 0.7, 0.5, 0.3)

# A peek at the next bar shows only where the bar that it is made on is the last: so the strategy is also run up to bars on
# which its weight changes, and to some on which it holds. At half a run each they cost about twelve.
MOST_CHANGES = 16
MOST_ACTS = 24

# Adding the same numbers in blocks of another size rounds otherwise; a peek moves a weight by far more.
TOLERANCE = 1e-9

# What one job answers, 4 MiB: half of the smallest tier's output.
MOST_VALUES = 512 * 1024


@dataclass(frozen=True, slots=True)
class Change:
    """Where a weight is another one: over all bars, and when only the first `length` are known."""

    symbol: str
    moment: int
    all_bars: float
    fewer: float
    length: int


def checked_weights(signals: Signals, *, run: Run) -> Weights:
    """The weights over all bars. Raises SandboxFailed, StrategyFailed too when one of them depends on later bars."""
    weights = weights_of(run(signals.job()), signals.bars)
    problem = find_look_ahead(signals, weights, run=run)
    if problem is not None:
        raise StrategyFailed(f"{problem.name}: {problem.message}", problem.line)
    return weights


def find_look_ahead(signals: Signals, weights: Weights, *, run: Run) -> Problem | None:
    """LookAhead when a weight depends on bars after its own, NotDeterministic when on chance, or what fewer bars raise.

    `weights` are those over all bars. Raises SandboxFailed.
    """
    times = list(next(iter(aligned(signals.bars).values())).times)
    shorter_went_well = False
    for part in _parts(signals, cuts(signals, weights, times=times)):
        answer = run(signals.shortened(part))
        faults = told_faults(answer)
        for place, moment in enumerate(part):
            length = bisect_right(times, moment)
            fault = faults.get(str(place))
            if fault is not None:
                # A strategy may need more bars than are left; not more than it has done with, nor all but one.
                if shorter_went_well or length == len(times) - 1:
                    return _failing(fault, length)
                continue
            again = weights_of(answer, signals.bars, run=place, until=moment)
            found = next(_changes(signals, weights, again, length=length), None)
            if found is not None:
                return _by_chance(signals, weights, run=run) or _look_ahead(signals, found)
            shorter_went_well = True
    return None


def cuts(signals: Signals, weights: Weights, *, times: Sequence[int]) -> list[int]:
    """The moments of the last bars to be known, rising; `times` are those that all symbols have a bar for."""
    lengths = {len(times) - left_out for left_out in CUT_BARS} | {int(len(times) * share) for share in CUT_SHARES}
    usual = {times[length - 1] for length in lengths if length > 0}
    common = set(times[:-1])
    changing = sorted(common & _moments(signals, weights, changing=True))
    holding = sorted((common & _moments(signals, weights, changing=False)).difference(changing))
    acts = spread(changing, MOST_CHANGES)
    return sorted(usual.union(acts, spread(holding, MOST_ACTS - len(acts))))


def spread(moments: Sequence[int], most: int) -> list[int]:
    """So many of them, evenly, the first and the last among them."""
    if len(moments) <= most:
        return list(moments)
    return [moments[round(index * (len(moments) - 1) / (most - 1))] for index in range(most)]


def _moments(signals: Signals, weights: Weights, *, changing: bool) -> set[int]:
    """When a weight differs from the one before, or is none of nothing."""
    import numpy as np  # noqa: PLC0415 - whoever has weights has loaded it

    found: set[int] = set()
    for symbol, values in weights.items():
        sizes = np.diff(values, prepend=0.0) if changing else values
        times = signals.bars[symbol].times
        found.update(times[place] for place in np.flatnonzero(np.abs(sizes) > TOLERANCE))
    return found


def _parts(signals: Signals, moments: Sequence[int]) -> Iterator[list[int]]:
    """The moments in parts whose answers are not too large for a job."""
    part: list[int] = []
    values = 0
    for moment in moments:
        more = sum(bisect_right(bars.times, moment) for bars in signals.bars.values())
        if part and values + more > MOST_VALUES:
            yield part
            part, values = [], 0
        part.append(moment)
        values += more
    if part:
        yield part


def _changes(signals: Signals, weights: Weights, again: Weights, *, length: int) -> Iterator[Change]:
    """Of each symbol the first weight that is another one."""
    import numpy as np  # noqa: PLC0415 - whoever has weights has loaded it

    for symbol, second in again.items():
        first = weights[symbol][: len(second)]
        for place in np.flatnonzero(np.abs(first - second) > TOLERANCE)[:1]:
            moment = signals.bars[symbol].times[place]
            yield Change(symbol, moment, float(first[place]), float(second[place]), length)


def _by_chance(signals: Signals, weights: Weights, *, run: Run) -> Problem | None:
    """A second run over the same bars tells a strategy that draws lots from one that looks ahead."""
    again = weights_of(run(signals.job()), signals.bars)
    if next(_changes(signals, weights, again, length=0), None) is None:
        return None
    return Problem(
        "NotDeterministic",
        "Two runs over the same bars gave different weights. Give every random generator a fixed seed, e.g. "
        "`numpy.random.default_rng(0)`, and don't use the clock.",
    )


def _failing(fault: ToldProblem, length: int) -> Problem:
    more = f"\nThis happens when only the first {length} bars are known: code that reads a later bar fails like that."
    return Problem(fault.name, fault.message + more, fault.line)


def _look_ahead(signals: Signals, found: Change) -> Problem:
    suspect: Suspect | None = next(iter(find_suspects(signals.source)), None)
    hint = f" Line {suspect.line} looks like it: `{suspect.text}` {suspect.why}." if suspect else ""
    message = (
        f"The weight of {found.symbol} at {_shown(signals.bars[found.symbol], found.moment)} is {found.all_bars:.6g} with "
        f"all bars and {found.fewer:.6g} when only the first {found.length} are known: it depends on later bars. Use only "
        "what is known at a bar's close: `.shift(1)`, `.rolling(n)`, `.expanding()`, never a figure over all bars, and keep "
        f"nothing from one run to the next.{hint}"
    )
    return Problem("LookAhead", message, suspect.line if suspect else None)


def _shown(bars: Bars, moment: int) -> str:
    """When a bar begins, as people read it: a day's without the time."""
    return show_date(moment) if bars.interval.length >= DAY else show_moment(moment)
