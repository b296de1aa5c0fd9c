"""One order out of several."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeVar

Found = TypeVar("Found", bound=Hashable)

# Source: Cormack, Clarke, Buettcher, "Reciprocal Rank Fusion outperforms Condorcet and individual rank learning
# methods", SIGIR 2009: with 60 no single list decides by its first place alone.
SMOOTHING = 60


def fused(rankings: Sequence[Sequence[Found]], *, limit: int) -> list[Found]:
    """The first `limit` by the sum of 1 / (60 + rank) over the rankings; of equals the one that was ranked first."""
    scores: dict[Found, float] = {}
    for ranking in rankings:
        for rank, found in enumerate(ranking, 1):
            scores[found] = scores.get(found, 0.0) + 1 / (SMOOTHING + rank)
    return sorted(scores, key=lambda found: -scores[found])[:limit]
