"""The arithmetic of a paper account."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mcp_server.deployments import ledger
from mcp_server.deployments.ledger import Account, Costs, Prices
from mcp_server.trading import START_EQUITY

SYMBOLS = ("A", "B")
prices = st.floats(0.01, 1e6)
weights = st.fixed_dictionaries({symbol: st.floats(-1, 1) for symbol in SYMBOLS})
opens_or_closes = st.fixed_dictionaries(dict.fromkeys(SYMBOLS, prices))
moderate = st.fixed_dictionaries({symbol: st.floats(90, 110) for symbol in SYMBOLS})
costs = st.builds(Costs, fee_bps=st.floats(0, 500), slippage_bps=st.floats(0, 500))
FREE = Costs(0, 0)


def account_of(cash: float, *, units: dict[str, float], decided: dict[str, float]) -> Account:
    nothing = dict.fromkeys(SYMBOLS, 0.0)
    return Account(cash, units=units, held=nothing, decided=decided, closes=nothing)


def test_a_simple_purchase_by_hand() -> None:
    """100,000 at an open of 100 with 100 bps: x of stock and x * 0.01 of costs are 100,000 together."""
    account = ledger.opened({"A": 100.0}, {"A": 1.0})

    after, (fill,) = ledger.step(
        account, Prices({"A": 100.0}, {"A": 110.0}), weights={"A": 1.0}, costs=Costs(fee_bps=60, slippage_bps=40)
    )

    assert math.isclose(fill.units, 1000 / 1.01)
    assert math.isclose(fill.price, 100.4)
    assert math.isclose(fill.fee, 1000 / 1.01 * 100 * 0.006)
    assert abs(after.cash) < 1e-6
    assert math.isclose(after.equity, 1000 / 1.01 * 110)
    assert not after.has_orders


@settings(deadline=None)
@given(opens=opens_or_closes, decided=weights, costs=costs)
def test_what_a_trade_costs_is_what_the_account_loses(
    opens: dict[str, float], decided: dict[str, float], costs: Costs
) -> None:
    before = account_of(START_EQUITY, units={"A": 10.0, "B": 0.0}, decided=ledger.without_leverage(decided))
    equity = ledger.worth(before, opens)

    after, fills = ledger.fill(before, opens, costs=costs)

    paid = sum(fill.fee + abs(fill.price - opens[fill.symbol]) * abs(fill.units) for fill in fills)
    assert math.isclose(ledger.worth(after, opens), equity - paid, rel_tol=1e-9, abs_tol=1e-6)
    assert all(fill.fee >= 0 for fill in fills)


@settings(deadline=None)
@given(opens=opens_or_closes, decided=weights, costs=costs)
def test_after_a_trade_each_symbol_has_its_share_of_what_is_left(
    opens: dict[str, float], decided: dict[str, float], costs: Costs
) -> None:
    targets = ledger.without_leverage(decided)
    before = account_of(10 * START_EQUITY, units={"A": 0.1, "B": -0.1}, decided=targets)
    assume(before.has_orders)

    after, _ = ledger.fill(before, opens, costs=costs)

    left = ledger.worth(after, opens)
    assert after.held == targets
    for symbol in SYMBOLS:
        assert math.isclose(after.units[symbol] * opens[symbol], targets[symbol] * left, rel_tol=1e-6, abs_tol=1e-3)


@settings(deadline=None)
@given(bars=st.lists(st.tuples(moderate, moderate), min_size=1, max_size=20), decided=weights)
def test_a_target_that_stays_trades_once(bars: list[tuple[Any, Any]], decided: dict[str, float]) -> None:
    account = ledger.opened(dict.fromkeys(SYMBOLS, 100.0), decided)
    fills = []
    for opens, closes in bars:
        account, filled = ledger.step(account, Prices(opens, closes), weights=decided, costs=FREE)
        fills.append(len(filled))

    assert sum(fills[1:]) == 0


@settings(deadline=None)
@given(
    bars=st.lists(
        st.tuples(moderate, moderate, st.fixed_dictionaries({"A": st.floats(0, 1), "B": st.floats(0, 1)})), max_size=20
    ),
    costs=costs,
)
def test_an_account_that_is_only_long_borrows_nothing_and_is_never_below_zero(bars: list[Any], costs: Costs) -> None:
    account = ledger.opened(dict.fromkeys(SYMBOLS, 100.0), {"A": 1.0, "B": 1.0})
    for opens, closes, decided in bars:
        account, _ = ledger.step(account, Prices(opens, closes), weights=decided, costs=costs)
        assert account.cash > -1e-6
        assert account.equity > 0


@given(decided=weights)
def test_weights_are_scaled_to_what_the_account_has(decided: dict[str, float]) -> None:
    scaled = ledger.without_leverage(decided)

    assert sum(map(abs, scaled.values())) <= 1 + 1e-12
    if sum(map(abs, decided.values())) <= 1:
        assert scaled == decided


def test_an_account_that_is_worth_nothing_at_an_open_is_lost_whatever_its_close() -> None:
    account = account_of(-500.0, units={"A": 1.0, "B": 0.0}, decided={"A": 1.0, "B": 0.0})
    prices = Prices({"A": 100.0, "B": 1.0}, {"A": 900.0, "B": 1.0})

    after, fills = ledger.step(account, prices, weights={"A": 1.0, "B": 0.0}, costs=FREE)

    assert (after.equity, after.has_orders, fills) == (0.0, False, [])
    assert after.units == {"A": 0.0, "B": 0.0}
