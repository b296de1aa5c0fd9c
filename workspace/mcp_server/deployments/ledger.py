"""The arithmetic of a paper account: one rule, and the same one as a backtest's.

A weight decided on a bar's close is traded at the next bar's open. Between two changes of a target the units are held.
When one target changes, every instrument is brought to its own, measured against what the account is worth after the
orders are paid. Weights that sum to more than 1 are scaled down to it: nothing is borrowed. An account that is worth
nothing at an open or at a close is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mcp_server.trading import BASIS_POINT, START_EQUITY, equity_after

Amounts = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Costs:
    """Basis points of the traded value: what a broker takes, and how much worse than the open a fill is."""

    fee_bps: float
    slippage_bps: float

    @property
    def share(self) -> float:
        """Both together as a share of the traded value."""
        return (self.fee_bps + self.slippage_bps) * BASIS_POINT


@dataclass(frozen=True, slots=True)
class Account:
    """What is held, by symbol. `held` are the targets that were traded last, `decided` those of the newest bar's close.

    Where the two differ, orders are open. `closes` are the prices at which the units are valued.
    """

    cash: float
    units: Amounts
    held: Amounts
    decided: Amounts
    closes: Amounts

    @property
    def equity(self) -> float:
        return worth(self, self.closes)

    @property
    def has_orders(self) -> bool:
        """Whether the next bar's open trades."""
        return self.held != self.decided


@dataclass(frozen=True, slots=True)
class Fill:
    """Units bought (above 0) or sold at `price`, which has the slippage in it, for `fee`."""

    symbol: str
    units: float
    price: float
    fee: float


@dataclass(frozen=True, slots=True)
class Prices:
    """A bar of each instrument."""

    opens: Amounts
    closes: Amounts


def opened(closes: Amounts, weights: Amounts) -> Account:
    """A new account that decided on the weights of its first bar and holds nothing yet."""
    nothing = dict.fromkeys(closes, 0.0)
    return Account(START_EQUITY, units=nothing, held=nothing, decided=without_leverage(weights), closes=closes)


def step(account: Account, prices: Prices, *, weights: Amounts, costs: Costs) -> tuple[Account, list[Fill]]:
    """The account after a bar: open orders are filled at its open, and at its close the weights are decided.

    One that is lost has nothing left; lost at the open, whatever the prices do until the close.
    """
    nothing = dict.fromkeys(account.units, 0.0)
    lost = Account(0.0, units=nothing, held=nothing, decided=nothing, closes=prices.closes)
    if worth(account, prices.opens) <= 0:
        return lost, []
    filled, fills = fill(account, prices.opens, costs=costs)
    after = replace(filled, decided=without_leverage(weights), closes=prices.closes)
    return after if after.equity > 0 else lost, fills


def fill(account: Account, opens: Amounts, *, costs: Costs) -> tuple[Account, list[Fill]]:
    """Trade what was decided, with an account that is worth something at these prices."""
    if not account.has_orders:
        return account, []
    values = [account.units[symbol] * opens[symbol] for symbol in account.decided]
    after = equity_after(worth(account, opens), list(account.decided.values()), values, costs=costs.share)
    units = {symbol: weight * after / opens[symbol] for symbol, weight in account.decided.items()}
    fills = [
        _fill(symbol, units[symbol] - account.units[symbol], price=opens[symbol], costs=costs)
        for symbol in units
        if units[symbol] != account.units[symbol]
    ]
    cash = account.cash - sum(each.units * each.price + each.fee for each in fills)
    return replace(account, cash=cash, units=units, held=account.decided), fills


def worth(account: Account, prices: Amounts) -> float:
    """Cash and units at these prices."""
    return account.cash + sum(units * prices[symbol] for symbol, units in account.units.items())


def without_leverage(weights: Amounts) -> dict[str, float]:
    """Weights whose sizes sum to at most 1."""
    gross = max(1.0, sum(map(abs, weights.values())))
    # + 0.0 makes 0 of -0.
    return {symbol: weight / gross + 0.0 for symbol, weight in weights.items()}


def _fill(symbol: str, units: float, *, price: float, costs: Costs) -> Fill:
    worse = costs.slippage_bps * BASIS_POINT * (1 if units > 0 else -1)
    return Fill(symbol, units, price=price * (1 + worse), fee=abs(units) * price * costs.fee_bps * BASIS_POINT)
