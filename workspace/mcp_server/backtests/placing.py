"""Make an order out of what a client asked for: names become a strategy, its parameters and bars."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcp_server.backtests.order import Order, Terms, aligned
from mcp_server.errors import BadSymbols, NoBars, TooFewBars, UnknownStrategy
from mcp_server.market.bars import Bars
from mcp_server.market.catalogue import Catalogue
from mcp_server.strategies.contract import MOST_SYMBOLS, read_contract, resolve_params
from mcp_server.strategies.store import Strategies
from mcp_server.strategies.versions import StrategyVersion

# A weight is traded on the bar after its own.
FEWEST_BARS = 2

VERSIONED = re.compile(r"(?P<name>[^@]+)@(?P<version>\d{1,9})")


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


class Desk:
    """Takes orders."""

    def __init__(self, strategies: Strategies, catalogue: Catalogue) -> None:
        self._strategies = strategies
        self._catalogue = catalogue

    def place(self, wish: Wish) -> Order:
        """The order. Raises UnknownStrategy, BadStrategyParams, BadSymbols, UnknownSymbol, NoBars, BadSplit."""
        strategy = self._strategy(wish.strategy)
        params = resolve_params(read_contract(strategy.source), wish.params)
        bars = self._bars(_symbols(strategy, wish.symbols), wish)
        order = Order(strategy, params, bars, wish.terms)
        if len(order.times) < FEWEST_BARS:
            raise TooFewBars("The range holds one bar; a weight is traded on the bar after it. Give a longer range.")
        wish.terms.split.parts(len(order.times))
        return order

    def _strategy(self, wanted: str) -> StrategyVersion:
        parts = VERSIONED.fullmatch(wanted.strip())
        if parts:
            return self._strategies.find(parts["name"], int(parts["version"]))
        if "@" in wanted:
            raise UnknownStrategy(f"{wanted[:64]!r} is no strategy. Write a version as name@3, the newest as name.")
        return self._strategies.find(wanted)

    def _bars(self, symbols: Sequence[str], wish: Wish) -> dict[str, Bars]:
        """All symbols' bars in one interval, the longest among them, over the times that all have."""
        found = dict(self._whole(symbol, wish.interval) for symbol in symbols)
        interval = max((bars.interval for bars in found.values()), key=lambda each: each.length)
        within = {
            symbol: _range(symbol, bars.resampled(interval), wish.start, end=wish.end) for symbol, bars in found.items()
        }
        return aligned(within)

    def _whole(self, symbol: str, interval: str | None) -> tuple[str, Bars]:
        instrument, bars = self._catalogue.find(symbol, interval)
        return instrument.symbol, bars


def _symbols(strategy: StrategyVersion, wanted: str) -> list[str]:
    symbols = list(dict.fromkeys(part for part in (each.strip() for each in wanted.split(",")) if part))
    if len(symbols) > MOST_SYMBOLS:
        raise BadSymbols(f"{len(symbols)} symbols are given, at most {MOST_SYMBOLS} are traded together.")
    if not strategy.symbols:
        if not symbols:
            raise BadSymbols("No symbol is given. Call list_instruments to see what there is.")
        return symbols
    foreign = [symbol for symbol in symbols if symbol.upper() not in {each.upper() for each in strategy.symbols}]
    if foreign:
        made_for = ", ".join(strategy.symbols)
        raise BadSymbols(
            f"{strategy.name} is made for {made_for} and trades them together, not {foreign[0][:64]}. Give symbol "
            f"'{','.join(strategy.symbols)}', or change SYMBOLS in its source."
        )
    return list(strategy.symbols)


def _range(symbol: str, bars: Bars, start: str | None, *, end: str | None) -> Bars:
    within = bars.between(start, end)
    if not len(within):
        raise NoBars(
            f"{symbol} has no bars from {start or 'the beginning'} to {end or 'the end'}. "
            f"It has {len(bars)} from {bars.date(0)} to {bars.date(-1)}."
        )
    return within
