"""Choosing parameters by what is past, and how that choice fared afterwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

Metric = Literal["sharpe", "sortino", "calmar", "cagr_percent", "total_return_percent", "max_drawdown_percent"]

# Smaller is better for these.
LOSSES = frozenset({"max_drawdown_percent"})

# Fewer runs have no ranks to speak of.
FEWEST_RANKED = 5


def goodness(metrics: dict[str, Any], metric: Metric) -> float:
    """A number that is larger for the better run; a figure that has no value is worst."""
    value = metrics[metric]
    if value is None:
        return float("-inf")
    return -float(value) if metric in LOSSES else float(value)


def ranked(measured: Sequence[dict[str, Any]], metric: Metric) -> list[int]:
    """Places of the runs, the best first; of equal ones the first that was run."""
    return sorted(range(len(measured)), key=lambda index: (-goodness(measured[index], metric), index))


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's: 1 = the same order, -1 = the opposite, near 0 = the one says nothing of the other."""
    if len(first) < FEWEST_RANKED:
        return None
    ranks = [_ranks(first), _ranks(second)]
    mean = (len(first) - 1) / 2
    left, right = ([rank - mean for rank in each] for each in ranks)
    size = math.sqrt(sum(each * each for each in left) * sum(each * each for each in right))
    if not size:
        return None
    return sum(one * other for one, other in zip(left, right, strict=True)) / size


def _ranks(values: Sequence[float]) -> list[float]:
    """From 0; equal values share the mean of their places."""
    places: dict[float, list[int]] = {}
    for place, value in enumerate(sorted(values)):
        places.setdefault(value, []).append(place)
    return [sum(places[value]) / len(places[value]) for value in values]
