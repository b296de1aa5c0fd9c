"""Whether a price has crossed the level of an alert. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from agents.schedules.grammar import Direction

# A share of the level: once told, an alert is told again only after the price has come back as far beyond it. Prices
# that dance on a level would ring at every bar otherwise.
MARGIN = Decimal("0.002")


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar that has ended, named by when it began."""

    at: str
    high: Decimal
    low: Decimal
    close: Decimal


@dataclass(frozen=True, slots=True)
class Watched:
    """An alert after some bars: whether it is `armed`, and the first of them at which it was told."""

    armed: bool
    fired: Bar | None = None


def watch(bars: Iterable[Bar], *, direction: Direction, level: Decimal, armed: bool) -> Watched:
    """Look at bars, oldest first. An alert fires once for a crossing, however deep and long it is."""
    fired: Bar | None = None
    for bar in bars:
        if armed and _beyond(bar.low if direction == "below" else bar.high, direction, level):
            armed, fired = False, fired or bar
        if not armed and _back(bar.close, direction, level):
            armed = True
    return Watched(armed, fired)


def armed_at(price: Decimal, *, direction: Direction, level: Decimal) -> bool:
    """Whether an alert that is set at this price can fire: one that is beyond its level already must first come back."""
    return not _beyond(price, direction, level)


def _beyond(price: Decimal, direction: Direction, level: Decimal) -> bool:
    return price < level if direction == "below" else price > level


def _back(price: Decimal, direction: Direction, level: Decimal) -> bool:
    return price >= level * (1 + MARGIN) if direction == "below" else price <= level * (1 - MARGIN)
