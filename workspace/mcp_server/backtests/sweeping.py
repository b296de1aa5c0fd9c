"""Run a strategy with many sets of parameters, and say how far the best of them can be believed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mcp_server.backtests.choosing import Metric, goodness, rank_correlation, ranked
from mcp_server.backtests.computing import Computing
from mcp_server.backtests.order import Order
from mcp_server.backtests.running import ID_CHARACTERS, about, dated_metrics
from mcp_server.backtests.split import Part
from mcp_server.backtests.store import Backtests, Record
from mcp_server.jobs.contract import Report
from mcp_server.strategies.contract import Plain

# Weights on their way at once: with 5,031 bars of one symbol 25 runs, a megabyte.
CHUNK_VALUES = 128 * 1024
MOST_IN_CHUNK = 25

BEST_SHOWN = 5

# What the table shows of each run.
TOLD = ("total_return_percent", "cagr_percent", "sharpe", "max_drawdown_percent", "trades")


@dataclass(frozen=True, slots=True)
class Sweep:
    """What to try over an order's bars; `metric` says which run is better."""

    order: Order
    runs: Sequence[dict[str, Plain]]
    metric: Metric


@dataclass(frozen=True, slots=True)
class Ranges:
    """Bars to choose on and bars to judge on, one pair, or one for each fold after the first."""

    chosen_on: tuple[Part, ...]
    judged_on: tuple[Part, ...]

    @classmethod
    def of(cls, order: Order) -> Ranges:
        """A choice is made on all bars before those that it is judged on."""
        parts = order.parts
        later = parts[1:]
        return cls(tuple(Part(f"before {part.name}", 0, part.first) for part in later), tuple(later))

    @property
    def pairs(self) -> list[list[int]]:
        return [[part.first, part.past] for part in (*self.chosen_on, *self.judged_on)]


def sweep(wanted: Sweep, *, computing: Computing, store: Backtests, report: Report) -> Record:
    """Run all sets, or give the stored sweep of the same order. Raises SandboxFailed."""
    order = wanted.order
    digest = order.digest(runs=[dict(run) for run in wanted.runs], metric=wanted.metric)
    identity = f"sw-{digest[:ID_CHARACTERS]}"
    if store.has(identity, strategy=order.strategy.name, version=order.strategy.version):
        return store.find(identity)
    store.expect_room()
    ranges = Ranges.of(order)
    measured, benchmark = _measure(wanted, ranges, computing=computing, report=report)
    first_choice = _choice(measured, len(ranges.judged_on) - 1, wanted.metric)
    # One set suffices: whether the code looks ahead depends on the code. It is the one that will be used.
    computing.checked_weights(order, wanted.runs[first_choice])
    summary = {
        "id": identity,
        "digest": digest,
        "kind": "sweep",
        **about(order),
        "metric": wanted.metric,
        "runs": len(wanted.runs),
        **_told(wanted, measured, ranges),
        "benchmark": dated_metrics(order, benchmark["metrics"]),
    }
    record = Record(identity, order.strategy.name, order.strategy.version, summary)
    store.keep(record)
    return record


def _measure(
    wanted: Sweep, ranges: Ranges, *, computing: Computing, report: Report
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    measured: list[dict[str, Any]] = []
    benchmark: dict[str, Any] = {}
    report(0, len(wanted.runs), f"0 of {len(wanted.runs)} runs")
    for runs in _chunks(wanted):
        weights = computing.weights(wanted.order, runs)
        answer = computing.account(
            wanted.order, weights, report=report, ranges=ranges.pairs, before=len(measured), of=len(wanted.runs)
        )
        measured += answer.values["runs"]
        benchmark = answer.values["benchmark"]
    return measured, benchmark


def _chunks(wanted: Sweep) -> Iterator[Sequence[dict[str, Plain]]]:
    one = len(wanted.order.times) * len(wanted.order.bars)
    size = max(1, min(MOST_IN_CHUNK, CHUNK_VALUES // one))
    for first in range(0, len(wanted.runs), size):
        yield wanted.runs[first : first + size]


def _choice(measured: Sequence[dict[str, Any]], pair: int, metric: Metric) -> int:
    """The run that is best on the bars of this pair to choose on."""
    return ranked([run["parts"][pair] for run in measured], metric)[0]


def _told(wanted: Sweep, measured: Sequence[dict[str, Any]], ranges: Ranges) -> dict[str, Any]:
    """The best runs, the table of all and what to think of it. The last pair has the most bars to choose on."""
    pairs, metric = len(ranges.judged_on), wanted.metric
    before, after = ([run["parts"][place] for run in measured] for place in (pairs - 1, 2 * pairs - 1))
    order = ranked(before, metric)
    correlation = rank_correlation(
        [goodness(each, metric) for each in before], [goodness(each, metric) for each in after]
    )
    steps = [_step(wanted, measured, ranges, pair=pair) for pair in range(pairs)]
    return {
        "chosen_on": _dates(wanted.order, ranges.chosen_on[-1]),
        "judged_on": _dates(wanted.order, ranges.judged_on[-1]),
        "best": [
            {
                "params": dict(wanted.runs[place]),
                "in_sample": dated_metrics(wanted.order, before[place]),
                "out_of_sample": dated_metrics(wanted.order, after[place]),
            }
            for place in order[:BEST_SHOWN]
        ],
        "columns": [*wanted.runs[0], f"in_sample_{metric}", f"out_of_sample_{metric}", *TOLD],
        "table": [
            [
                *wanted.runs[place].values(),
                *_row(before[place], metric),
                *_row(after[place], metric),
                *_row(measured[place]["metrics"], *TOLD),
            ]
            for place in order
        ],
        "walk_forward": steps,
        "rank_correlation": None if correlation is None else round(correlation, 4),
        "verdict": _verdict(wanted, before[order[0]], after, order=order, correlation=correlation),
    }


def _row(metrics: dict[str, Any], *names: str) -> list[Any]:
    """Figures to five digits: there may be two hundred rows."""
    return [value if value is None else float(f"{value:.5g}") for value in (metrics[name] for name in names)]


def _step(wanted: Sweep, measured: Sequence[dict[str, Any]], ranges: Ranges, *, pair: int) -> dict[str, Any]:
    """What was chosen on the bars before a part, and how it did on the part."""
    place = _choice(measured, pair, wanted.metric)
    after = measured[place]["parts"][len(ranges.judged_on) + pair]
    return {
        **_dates(wanted.order, ranges.judged_on[pair]),
        "params": dict(wanted.runs[place]),
        "before": measured[place]["parts"][pair][wanted.metric],
        "after": after[wanted.metric],
        "total_return_percent": after["total_return_percent"],
        "max_drawdown_percent": after["max_drawdown_percent"],
    }


def _dates(order: Order, part: Part) -> dict[str, Any]:
    return {"from": order.show(order.times[part.first]), "to": order.show(order.times[part.past - 1])}


def _verdict(
    wanted: Sweep,
    best: dict[str, Any],
    after: Sequence[dict[str, Any]],
    *,
    order: Sequence[int],
    correlation: float | None,
) -> str:
    metric = wanted.metric
    chosen = after[order[0]]
    place = ranked(after, metric).index(order[0]) + 1
    text = (
        f"The best of {len(order)} sets on the bars it was chosen on has {metric} {_figure(best[metric])} there and "
        f"{_figure(chosen[metric])} on the later bars, where it is number {place}."
    )
    if correlation is None:
        return text + " There are too few different runs to compare the two orders."
    meaning = (
        "choosing by the past told much of what came after"
        if correlation > 0.5
        else "choosing by the past told little of what came after: the best figures are mostly luck"
        if correlation > -0.2
        else "what was good before was bad after: don't rely on the choice"
    )
    return f"{text} Over all sets the rank correlation of before and after is {correlation:.2f}: {meaning}."


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
