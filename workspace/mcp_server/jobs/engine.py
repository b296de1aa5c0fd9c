"""The account of a backtest: `bt` keeps the book of what was bought, sold and paid, bar by bar.

One rule stands for all: a weight decided on a bar's close is traded at the next bar's open. Between two changes of a
target the units are held. An account that is worth nothing at an open or at a close is lost. `bt` is run over the bars
on which something is traded and over no others, and what lies between is valued in array operations: over 5,031 bars a
moving-average crossover trades on 196. docs/adr/0005 has the figures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import bt
import numpy
import pandas
from numpy.typing import NDArray

from mcp_server.trading import START_EQUITY, equity_after

Floats = NDArray[numpy.float64]
Ints = NDArray[numpy.int64]


@dataclass(frozen=True, slots=True)
class Market:
    """Prices of one or several instruments over the same bars: `times` in ns since 1970, the others bars x symbols."""

    symbols: tuple[str, ...]
    times: Ints
    opens: Floats
    closes: Floats


@dataclass(frozen=True, slots=True)
class Costs:
    """Shares of the traded value: what a broker takes, and how much worse than the open a fill is."""

    fee: float = 0.0
    slippage: float = 0.0

    @property
    def both(self) -> float:
        return self.fee + self.slippage


@dataclass(frozen=True, slots=True)
class Book:
    """What an account went through.

    `traded_at` are the bars with orders, `orders` the units bought (above 0) or sold there and `held` those held after
    it, both orders x symbols. `units` and `equity` are as of each bar's close. From bar `ruined_at` on the account is empty.
    """

    traded_at: Ints
    orders: Floats
    held: Floats
    units: Floats
    equity: Floats
    ruined_at: int | None = None


class HoldTargets(bt.Algo):  # type: ignore[misc]  # bt has no types
    """Orders that bring each instrument to its share of what the account is worth after the orders are paid.

    Measured against the account *after* costs, costs scale a backtest down and never change what it holds.
    """

    def __init__(self, targets: Floats, costs: float) -> None:
        super().__init__()
        self._targets = iter(targets.tolist())
        self._costs = costs

    def __call__(self, target: bt.Strategy) -> bool:
        children = list(target.children.values())
        weights = next(self._targets)
        values = [child.value for child in children]
        after = equity_after(target.value, weights, values, costs=self._costs)
        for child, weight, value in zip(children, weights, values, strict=True):
            units = (weight * after - value) / child.price if weight else -child.position
            target.transact(units, child=child.name)
        return True


def keep_book(market: Market, weights: Floats, costs: Costs) -> Book:
    """Trade the target weights (bars x symbols, finite, decided on each bar's close) and value the account."""
    held = numpy.vstack([numpy.zeros_like(weights[:1]), weights[:-1]])
    changes = numpy.diff(held, axis=0, prepend=numpy.zeros_like(held[:1]))
    traded_at = numpy.flatnonzero(changes.any(axis=1))
    units, cash = _trade(market.opens[traded_at], held[traded_at], costs.both)
    past_cash = numpy.concatenate([[START_EQUITY], cash])
    past_units = numpy.vstack([numpy.zeros_like(weights[:1]), units])
    bars, done = numpy.arange(len(weights)), traded_at[: len(cash)]
    after, before = (numpy.searchsorted(done, bars, side=side) for side in ("right", "left"))
    equity = past_cash[after] + (past_units[after] * market.closes).sum(axis=1)
    opening = past_cash[before] + (past_units[before] * market.opens).sum(axis=1)
    empty_at = [*numpy.flatnonzero(opening <= 0), *traded_at[len(cash) :]]
    book = Book(done, numpy.diff(past_units, axis=0), units, past_units[after], equity)
    return _ended_at_zero(book, lived=int(min(empty_at, default=len(weights))))


def _trade(opens: Floats, targets: Floats, costs: float) -> tuple[Floats, Floats]:
    """Units and cash after the orders of each bar; fewer rows than targets when the account was empty at an open."""
    if not len(opens):
        return opens, opens[:, 0]
    names = [str(index) for index in range(opens.shape[1])]
    strategy = bt.Strategy("account", [HoldTargets(targets, costs)], children=[bt.Security(name) for name in names])
    strategy.use_integer_positions(False)
    strategy.set_commissions(lambda quantity, price: abs(quantity) * price * costs)
    # Bars by number: bt only looks rows up by them, and takes 0 for "not begun".
    prices = pandas.DataFrame(opens, index=pandas.RangeIndex(1, len(opens) + 1), columns=names)
    strategy.setup(prices)
    strategy.adjust(START_EQUITY)
    done = 0
    for bar in prices.index:
        strategy.update(bar)
        if strategy.value <= 0:
            break
        strategy.run()
        strategy.update(bar)
        done += 1
    positions = numpy.column_stack([strategy.children[name].positions.to_numpy() for name in names])
    return positions[:done], strategy.cash.to_numpy()[:done]


def _ended_at_zero(book: Book, *, lived: int) -> Book:
    """The book with nothing in it from the first bar at whose open (`lived`) or close the account is empty."""
    below = numpy.flatnonzero(book.equity[:lived] <= 0)
    ruined_at = int(below[0]) if len(below) else lived
    if ruined_at == len(book.equity):
        return book
    before = numpy.arange(len(book.equity)) < ruined_at
    # Orders at the open of the bar on which the account ends at the close did happen.
    kept = book.traded_at <= ruined_at if len(below) else book.traded_at < ruined_at
    return replace(
        book,
        traded_at=book.traded_at[kept],
        orders=book.orders[kept],
        held=book.held[kept],
        units=numpy.where(before[:, None], book.units, 0.0),
        equity=numpy.where(before, book.equity, 0.0),
        ruined_at=ruined_at,
    )
