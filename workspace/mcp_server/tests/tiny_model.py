"""A model of a few concepts: small enough to read, real enough to find what shares no word with the query."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

NAME = "tiny 1"
FLOOR = 0.3
SPREAD = 0.5

CONCEPTS = (
    {"loss", "losses", "drawdown", "lose", "verlust"},
    {"profit", "gain", "gains", "earnings", "gewinn"},
    {"crypto", "bitcoin", "ether"},
    {"broker", "commission", "fee", "fees", "costs"},
    {"home", "live", "lives", "zurich"},
)


def passages(texts: Sequence[str]) -> Iterable[Iterable[float]]:
    return [query(text) for text in texts]


def query(text: str) -> Iterable[float]:
    words = set(re.findall(r"\w+", text.lower()))
    return [float(len(words & concept)) for concept in CONCEPTS] + [0.1]
