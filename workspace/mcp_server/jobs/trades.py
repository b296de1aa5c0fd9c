"""Round trips out of a book: from flat, or from the other side, to flat again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import copysign

from mcp_server.jobs.engine import Book, Costs, Market


@dataclass(slots=True)
class Trade:
    """One round trip. `entry` and `exit` are bars, `exit` None while it is open.

    `units` is the most that was held, prices are averages over the fills with slippage in them, and `pnl` is after
    fees; while it is open, `exit_price` is the last close and the rest is valued at it.
    """

    symbol: str
    side: str
    entry: int
    entry_price: float
    units: float = 0.0
    exit: int | None = None
    exit_price: float = 0.0
    pnl: float = 0.0
    fees: float = 0.0
    bought: float = 0.0
    sold: float = 0.0

    def enter(self, units: float, price: float, fee: float) -> None:
        self.entry_price = (self.entry_price * self.bought + price * units) / (self.bought + units)
        self.bought += units
        self.units = max(self.units, self.bought - self.sold)
        self.fees += fee

    def leave(self, units: float, price: float, fee: float) -> None:
        self.exit_price = (self.exit_price * self.sold + price * units) / (self.sold + units)
        self.sold += units
        self.fees += fee

    def settle(self) -> None:
        """What it brought; everything that was bought is sold by now."""
        gain = self.exit_price * self.sold - self.entry_price * self.bought
        self.pnl = (gain if self.side == "long" else -gain) - self.fees

    @property
    def return_percent(self) -> float:
        """Of what was put in at entry."""
        return 100 * self.pnl / (self.entry_price * self.bought)


def trades_of(market: Market, book: Book, costs: Costs) -> list[Trade]:
    """All round trips, in the order in which they were entered."""
    found = [
        trade
        for column, symbol in enumerate(market.symbols)
        for trade in _of_one(symbol, market, book, costs=costs, column=column)
    ]
    return sorted(found, key=lambda trade: (trade.entry, trade.symbol))


def _of_one(symbol: str, market: Market, book: Book, *, costs: Costs, column: int) -> Iterator[Trade]:
    held, trade = 0.0, None
    fills = zip(
        book.traded_at.tolist(),
        book.orders[:, column].tolist(),
        market.opens[book.traded_at, column].tolist(),
        book.held[:, column].tolist(),
        strict=True,
    )
    for bar, units, price, after in fills:
        if not units:
            continue
        fill = price * (1 + copysign(costs.slippage, units))
        leaving = min(abs(units), abs(held)) if held * units < 0 else 0.0
        if trade is not None and leaving:
            trade.leave(leaving, fill, leaving * price * costs.fee)
        if trade is not None and after * held <= 0:
            trade.exit = bar
            trade.settle()
            yield trade
            trade = None
        entering = abs(units) - leaving
        if after and entering:
            trade = trade or Trade(symbol, "long" if after > 0 else "short", bar, 0.0)
            trade.enter(entering, fill, entering * price * costs.fee)
        held = after
    if trade is not None:
        last = len(market.closes) - 1 if book.ruined_at is None else book.ruined_at
        trade.leave(trade.bought - trade.sold, float(market.closes[last, column]), 0.0)
        trade.settle()
        yield trade
