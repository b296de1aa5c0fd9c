"""A range of bars in parts, so that a strategy is judged on bars that it was not chosen on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from mcp_server.errors import BadSplit

# Fewer bars say nothing of a part.
FEWEST_BARS = 20

IN_SAMPLE = "in_sample"
OUT_OF_SAMPLE = "out_of_sample"


@dataclass(frozen=True, slots=True)
class Part:
    """The bars from `first` to before `past`."""

    name: str
    first: int
    past: int


@dataclass(frozen=True, slots=True)
class Split:
    """How to cut: the last `out_of_sample_percent` of the bars apart, or `folds` parts of equal length; None = not."""

    out_of_sample_percent: float | None = None
    folds: int | None = None

    def parts(self, bars: int) -> list[Part]:
        """The parts, which together are all bars; none when nothing is cut. Raises BadSplit for parts that are tiny."""
        if self.out_of_sample_percent is not None and self.folds is not None:
            raise BadSplit
        if self.out_of_sample_percent is not None:
            edge = bars - round(bars * self.out_of_sample_percent / 100)
            parts = [Part(IN_SAMPLE, 0, edge), Part(OUT_OF_SAMPLE, edge, bars)]
        else:
            edges = [round(bars * index / (self.folds or 1)) for index in range((self.folds or 0) + 1)]
            parts = [Part(f"fold {number}", first, past) for number, (first, past) in enumerate(pairwise(edges), 1)]
        for part in parts:
            if part.past - part.first < FEWEST_BARS:
                raise BadSplit(
                    f"{part.name} would have {part.past - part.first} of the {bars} bars, at least {FEWEST_BARS} are "
                    "needed. Give a longer range, another out_of_sample_percent or fewer folds."
                )
        return parts
