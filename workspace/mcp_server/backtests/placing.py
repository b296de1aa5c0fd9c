"""Make an order out of what a client asked for: names become a strategy, its parameters and bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcp_server.backtests.order import Order, Terms
from mcp_server.errors import NoBars, TooFewBars
from mcp_server.market.aligning import aligned
from mcp_server.market.bars import Bars
from mcp_server.market.catalogue import Catalogue
from mcp_server.market.ranges import select
from mcp_server.strategies.choice import chosen_symbols
from mcp_server.strategies.contract import read_contract, resolve_params
from mcp_server.strategies.store import Strategies

# A weight is traded on the bar after its own.
FEWEST_BARS = 2


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client asked for. `symbols` are separated by commas; `start` and `end` are ISO dates or date-times."""

    strategy: str
    symbols: str
    start: str | None
    end: str | None
    interval: str | None
    params: Mapping[str, Any]
    terms: Terms


class Counter:
    """Takes orders."""

    def __init__(self, strategies: Strategies, catalogue: Catalogue) -> None:
        self._strategies = strategies
        self._catalogue = catalogue

    def place(self, wish: Wish) -> Order:
        """The order. Raises UnknownStrategy, BadStrategyParams, BadSymbols, UnknownSymbol, NoBars, BadSplit."""
        strategy = self._strategies.find(wish.strategy)
        params = resolve_params(read_contract(strategy.source), wish.params)
        bars = self._bars(chosen_symbols(strategy, wish.symbols), wish)
        order = Order(strategy, params, bars, wish.terms)
        if len(order.times) < FEWEST_BARS:
            raise TooFewBars("The range holds one bar; a weight is traded on the bar after it. Give a longer range.")
        wish.terms.split.parts(len(order.times))
        return order

    def _bars(self, symbols: Sequence[str], wish: Wish) -> dict[str, Bars]:
        """All symbols' bars in one interval, the longest among them, over the times that all have."""
        found = dict(self._whole(symbol, wish.interval) for symbol in symbols)
        interval = max((bars.interval for bars in found.values()), key=lambda each: each.length)
        within = {
            symbol: select(symbol, bars.resampled(interval), start=wish.start, end=wish.end)
            for symbol, bars in found.items()
        }
        together = aligned(within)
        if not len(next(iter(together.values()))):
            raise NoBars(
                f"{', '.join(together)} have no bar at the same time. Give a range in which all of them have bars."
            )
        return together

    def _whole(self, symbol: str, interval: str | None) -> tuple[str, Bars]:
        instrument, bars = self._catalogue.find(symbol, interval)
        return instrument.symbol, bars
