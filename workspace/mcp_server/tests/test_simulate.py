"""The simulated account against a second account kept in plain Python, and what must hold for any prices and weights."""

from __future__ import annotations

import json
from typing import Any

import numpy
import pandas
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mcp_server.deployments import ledger
from mcp_server.jobs.contract import Refused, Result, Task
from mcp_server.market.sources.shipped import ShippedSource
from mcp_server.trading import START_EQUITY

DAY_NS = 86_400 * 10**9

# An account takes bt some 30 ms, so the suite has a fifth of the usual examples; the soak has a fifth of its many.
FEWER = settings(deadline=None, max_examples=settings().max_examples // 5)
if settings().max_examples > 100:
    pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

# Prices that move by up to a third a bar, as small coins do.
moves = st.floats(-0.3, 0.5)
weights = st.one_of(st.sampled_from([0.0, 1.0, -1.0, 0.5, float("nan")]), st.floats(-1, 1))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Any, Any, Any]:
    """Opens, closes and weights, bars x symbols."""
    shape = (draw(st.integers(2, 40)), draw(st.integers(1, 3)))
    gaps, days = (draw(arrays(float, shape, elements=moves)) for _ in range(2))
    opens = 100 * numpy.cumprod((1 + gaps) * numpy.vstack([numpy.ones(shape[1]), 1 + days[:-1]]), axis=0)
    return opens, opens * (1 + days), draw(arrays(float, shape, elements=weights)) / shape[1]


def run(task: Task) -> Result:
    """The job, whose libraries take three seconds to import: too long where tests are only collected."""
    from mcp_server.jobs import simulate

    return simulate.run(task)


def simulated(opens: Any, closes: Any, chosen: Any, **arguments: Any) -> Result:
    """The job's answer for symbols A, B, … on daily bars."""
    bars, count = closes.shape
    symbols = [chr(ord("A") + index) for index in range(count)]
    given_arrays = {f"{symbol}/time": numpy.arange(bars) * DAY_NS for symbol in symbols}
    for index, symbol in enumerate(symbols):
        columns = (("open", opens), ("close", closes), ("0", chosen))
        for name, values in columns:
            given_arrays[f"0/{symbol}" if name == "0" else f"{symbol}/{name}"] = values[:, index]
    usual = {"symbols": symbols, "runs": 1, "fee_bps": 0.0, "slippage_bps": 0.0, "detail": True}
    return run(Task({**usual, **arguments}, given_arrays))


def trades_of(answer: Result) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(answer.blobs["trades.json"])
    return found


def column(*values: float) -> Any:
    return numpy.array(values, dtype=float)[:, None]


def recomputed(opens: Any, closes: Any, chosen: Any, costs: float) -> list[float]:
    """The account kept bar by bar with lists and a bisection, nothing shared with the code under test."""
    symbols = range(len(closes[0]))
    cash, units, before = START_EQUITY, [0.0 for _ in symbols], [0.0 for _ in symbols]
    equity: list[float] = []
    for bar in range(len(closes)):
        targets = [
            0.0 if bar == 0 or numpy.isnan(chosen[bar - 1][each]) else float(chosen[bar - 1][each]) for each in symbols
        ]
        values = [units[each] * float(opens[bar][each]) for each in symbols]
        worth = cash + sum(values)
        if worth <= 0 or (equity and equity[-1] <= 0):
            return equity + [0.0] * (len(closes) - bar)
        if targets != before:
            low, high = 0.0, worth
            for _ in range(200):
                middle = (low + high) / 2
                paid = costs * sum(abs(targets[each] * middle - values[each]) for each in symbols)
                low, high = (low, middle) if middle + paid > worth else (middle, high)
            units = [targets[each] * low / float(opens[bar][each]) for each in symbols]
            cash = low - sum(targets[each] * low for each in symbols)
            before = targets
        equity.append(cash + sum(units[each] * float(closes[bar][each]) for each in symbols))
        if equity[-1] <= 0:
            equity[-1] = 0.0
    return equity


# Short, worth nothing at the third open and something again at its close; nothing is to be traded there.
LOST_BETWEEN = (column(100, 100, 217.5, 100), column(100, 150, 152.25, 100), column(-1, -1, -1, -1))


@given(cases(), st.floats(0, 50), st.floats(0, 50))
@example(LOST_BETWEEN, 0.0, 0.0)
@FEWER
def test_equity_is_that_of_a_second_account(case: tuple[Any, Any, Any], fee: float, slippage: float) -> None:
    opens, closes, chosen = case

    answer = simulated(opens, closes, chosen, fee_bps=fee, slippage_bps=slippage)

    again = recomputed(opens, closes, chosen, (fee + slippage) / 10_000)
    assert answer.arrays["equity"] == pytest.approx(again, rel=1e-9, abs=1e-4)


@given(cases(), st.floats(0, 50), st.floats(0, 50))
@example(LOST_BETWEEN, 0.0, 0.0)
@FEWER
def test_a_paper_account_would_have_gone_the_same_way(case: tuple[Any, Any, Any], fee: float, slippage: float) -> None:
    """Source: a user deploys what a backtest showed; both must follow one rule."""
    opens, closes, chosen = case
    answer = simulated(opens, closes, chosen, fee_bps=fee, slippage_bps=slippage)
    rows = [
        [dict(zip("ABC", row, strict=False)) for row in values.tolist()]
        for values in (opens, closes, numpy.nan_to_num(chosen))
    ]

    account, equity = ledger.opened(rows[1][0], rows[2][0]), [START_EQUITY]
    for opened, closed, decided in list(zip(*rows, strict=True))[1:]:
        account, _ = ledger.step(
            account, ledger.Prices(opened, closed), weights=decided, costs=ledger.Costs(fee, slippage)
        )
        equity.append(account.equity)
        if account.equity <= 0:
            break

    # A deployment ends with its account, a backtest goes on with nothing.
    equity += [0.0] * (len(closes) - len(equity))
    assert answer.arrays["equity"] == pytest.approx(equity, rel=1e-9, abs=1e-4)


@given(cases(), st.data())
@FEWER
def test_later_bars_change_nothing_before(case: tuple[Any, Any, Any], data: st.DataObject) -> None:
    opens, closes, chosen = case
    known = data.draw(st.integers(1, len(closes)))
    later = numpy.arange(len(closes))[:, None] >= known
    moved = [numpy.where(later, values * 1.7, values) for values in (opens, closes)]

    first = simulated(opens, closes, chosen)
    second = simulated(moved[0], moved[1], numpy.where(later, -chosen, chosen))

    assert first.arrays["equity"][:known].tolist() == second.arrays["equity"][:known].tolist()


@given(cases(), st.floats(0, 100))
@FEWER
def test_costs_never_leave_more(case: tuple[Any, Any, Any], fee: float) -> None:
    free, paid = simulated(*case), simulated(*case, fee_bps=fee)

    assert (paid.arrays["equity"] <= free.arrays["equity"] * (1 + 1e-9) + 1e-6).all()


@given(cases())
@FEWER
def test_without_weights_the_account_is_cash(case: tuple[Any, Any, Any]) -> None:
    opens, closes, chosen = case

    answer = simulated(opens, closes, numpy.zeros_like(chosen), fee_bps=10.0)

    assert set(answer.arrays["equity"]) == {START_EQUITY}
    assert trades_of(answer) == []
    figures = answer.values["runs"][0]["metrics"]
    assert (figures["trades"], figures["exposure_percent"], figures["turnover_per_year"]) == (0, 0, 0)
    assert figures["sharpe"] is figures["calmar"] is figures["win_rate_percent"] is figures["max_drawdown"] is None


@given(cases(), st.floats(0, 50), st.floats(0, 50))
@FEWER
def test_the_trades_add_up_to_the_account(case: tuple[Any, Any, Any], fee: float, slippage: float) -> None:
    answer = simulated(*case, fee_bps=fee, slippage_bps=slippage)
    run = answer.values["runs"][0]

    if run["ruined_at"] is None:
        gained = sum(trade["pnl"] for trade in trades_of(answer))
        assert gained == pytest.approx(answer.arrays["equity"][-1] - START_EQUITY, rel=1e-9, abs=1e-4)
        fees = sum(trade["fees"] for trade in trades_of(answer))
        assert fees == pytest.approx(run["metrics"]["fees_paid"], rel=1e-9, abs=1e-6)


@given(cases())
@FEWER
def test_the_same_input_has_the_same_bytes(case: tuple[Any, Any, Any]) -> None:
    first, second = simulated(*case, fee_bps=3.0), simulated(*case, fee_bps=3.0)

    assert first.values == second.values
    assert first.arrays["equity"].tobytes() == second.arrays["equity"].tobytes()


def test_a_weight_is_traded_at_the_next_bars_open() -> None:
    answer = simulated(column(10, 20, 30), column(15, 25, 40), column(1, 0, 0))

    # Decided at 15, bought at 20, decided at 25, sold at 30.
    assert answer.arrays["equity"].tolist() == [100_000, 125_000, 150_000]
    trade = trades_of(answer)[0]
    assert (trade["side"], trade["units"], trade["entry_price"], trade["exit_price"]) == ("long", 5000, 20, 30)
    assert (trade["entry"], trade["exit"], trade["bars_held"], trade["pnl"]) == (DAY_NS, 2 * DAY_NS, 1, 50_000)


def test_fees_and_slippage_are_paid_on_both_ways() -> None:
    answer = simulated(column(10, 10, 10), column(10, 10, 10), column(1, 0, 0), fee_bps=100.0, slippage_bps=100.0)

    bought = 100_000 / 1.02
    trade, figures = trades_of(answer)[0], answer.values["runs"][0]["metrics"]
    assert answer.arrays["equity"] == pytest.approx([100_000, bought, bought * 0.98])
    assert figures["fees_paid"] == figures["slippage_paid"] == pytest.approx(2 * bought * 0.01)
    assert (trade["entry_price"], trade["exit_price"]) == pytest.approx((10.1, 9.9))
    assert (figures["trades"], figures["win_rate_percent"], figures["profit_factor"]) == (1, 0, 0)


def test_turning_from_long_to_short_is_two_trades() -> None:
    answer = simulated(column(10, 10, 20, 10), column(10, 20, 20, 10), column(1, -1, 0, 0))

    trades = trades_of(answer)
    assert [(trade["side"], trade["pnl"]) for trade in trades] == [("long", 100_000), ("short", 100_000)]
    assert answer.arrays["equity"].tolist() == [100_000, 200_000, 200_000, 300_000]


def test_a_position_that_grows_has_its_average_price() -> None:
    answer = simulated(column(10, 10, 20, 20), column(10, 20, 20, 20), column(0.5, 1, 0, 0))

    trade = trades_of(answer)[0]
    # 5,000 units at 10, then 2,500 more for the other 50,000 at 20.
    assert (trade["units"], trade["pnl"]) == pytest.approx((7_500, 50_000))
    assert trade["entry_price"] == pytest.approx((5_000 * 10 + 2_500 * 20) / 7_500)


def test_an_account_that_is_lost_stays_at_zero() -> None:
    answer = simulated(column(10, 10, 25, 5, 5), column(10, 15, 25, 5, 5), column(-1, -1, -1, 1, 1))

    assert answer.arrays["equity"].tolist() == [100_000, 50_000, 0, 0, 0]
    run = answer.values["runs"][0]
    assert run["ruined_at"] == 2 * DAY_NS
    assert (run["metrics"]["total_return_percent"], run["metrics"]["max_drawdown_percent"]) == (-100, 100)
    assert run["metrics"]["cagr_percent"] == -100
    assert trades_of(answer)[0]["exit"] is None


def test_an_account_that_is_lost_overnight_trades_no_more() -> None:
    answer = simulated(column(10, 10, 30, 5), column(10, 15, 30, 5), column(-1, -0.5, 1, 1))

    assert answer.arrays["equity"].tolist() == [100_000, 50_000, 0, 0]
    assert len(trades_of(answer)) == 1


def test_a_single_bar_gives_figures_without_a_year() -> None:
    figures = simulated(column(10), column(11), column(1)).values["runs"][0]["metrics"]

    assert (figures["total_return_percent"], figures["trades"], figures["volatility_percent"]) == (0, 0, 0)
    assert figures["cagr_percent"] is figures["sharpe"] is figures["bars_per_year"] is None


def test_constant_prices_have_no_ratio() -> None:
    prices = numpy.full((30, 1), 10.0)

    figures = simulated(prices, prices, numpy.ones((30, 1))).values["runs"][0]["metrics"]

    assert figures["sharpe"] is figures["sortino"] is None
    assert figures["final_equity"] == START_EQUITY


def test_weights_that_sum_to_more_than_one_are_scaled_and_counted() -> None:
    prices = numpy.full((4, 2), 10.0)

    answer = simulated(prices, prices, numpy.array([[1.0, 1.0], [1.0, 0.0], [0.5, -1.0], [0.0, 0.0]]))

    assert answer.values["runs"][0]["scaled_bars"] == 2
    assert answer.arrays["gross"].tolist() == pytest.approx([0, 1, 1, 1])


@pytest.mark.parametrize("weight", [1.1, -2.0, float("inf")])
def test_a_weight_beyond_one_is_refused(weight: float) -> None:
    with pytest.raises(Refused, match="beyond -1 to 1"):
        simulated(column(1, 2), column(1, 2), column(weight, 0))


@pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf")])
def test_a_price_that_is_none_is_refused(price: float) -> None:
    with pytest.raises(Refused, match="missing or not above 0"):
        simulated(column(1, price), column(1, 2), column(0, 0))


def test_weights_of_another_length_are_refused() -> None:
    with pytest.raises(Refused, match="one weight for each bar"):
        simulated(column(1, 2), column(1, 2), column(1))


def test_the_figures_are_those_of_ffn() -> None:
    """Source: ffn (MIT) computes the same statistics from a price series; its year is 252 bars, ours the data's own."""
    import ffn  # type: ignore[import-untyped]  # it has no types

    from mcp_server.jobs.metrics import returns_of

    bars = ShippedSource().bars("SPX")
    closes, opens = (numpy.array(each)[:, None] for each in (bars.close, bars.open))
    chosen = numpy.where(closes > pandas.DataFrame(closes).rolling(100).mean().to_numpy(), 1.0, 0.0)
    given_arrays: dict[str, Any] = {
        "SPX/time": bars.times,
        "SPX/open": opens[:, 0],
        "SPX/close": closes[:, 0],
        "0/SPX": chosen[:, 0],
    }

    answer = run(Task({"symbols": ["SPX"], "runs": 1, "fee_bps": 5, "slippage_bps": 1, "detail": True}, given_arrays))

    figures = answer.values["runs"][0]["metrics"]
    equity = pandas.Series(answer.arrays["equity"], index=pandas.to_datetime(numpy.array(bars.times)))
    returns = equity.pct_change().dropna()
    per_year = figures["bars_per_year"]
    assert per_year == pytest.approx(251.6, abs=0.1)
    assert figures["cagr_percent"] == pytest.approx(100 * ffn.calc_cagr(equity), rel=1e-3)
    assert figures["max_drawdown_percent"] == pytest.approx(-100 * ffn.calc_max_drawdown(equity))
    assert figures["sharpe"] == pytest.approx(ffn.calc_sharpe(returns, nperiods=per_year))
    assert figures["volatility_percent"] == pytest.approx(100 * returns.std() * per_year**0.5)
    assert returns_of(answer.arrays["equity"]) == pytest.approx(returns.to_numpy())
    drawdown = figures["max_drawdown"]
    assert drawdown["from"] < drawdown["to"] < drawdown["recovered"]
    assert answer.arrays["drawdown"].min() == pytest.approx(-figures["max_drawdown_percent"] / 100)


def test_parts_are_measured_by_themselves_and_join_to_the_whole() -> None:
    random = numpy.random.default_rng(5)
    closes = 100 * numpy.cumprod(1 + random.normal(0, 0.01, (200, 1)), axis=0)
    chosen = numpy.sign(random.normal(size=(200, 1)))

    run = simulated(closes, closes, chosen, ranges=[[0, 120], [120, 200]]).values["runs"][0]

    grown = [1 + part["total_return_percent"] / 100 for part in run["parts"]]
    assert grown[0] * grown[1] == pytest.approx(1 + run["metrics"]["total_return_percent"] / 100)
    assert sum(part["trades"] for part in run["parts"]) == run["metrics"]["trades"]


def test_a_list_of_very_many_trades_is_cut() -> None:
    from mcp_server.jobs.simulate import MOST_TRADES

    bars = 2 * MOST_TRADES + 10
    prices = numpy.ones((bars, 1))

    answer = simulated(prices, prices, numpy.arange(bars)[:, None] % 2.0)

    assert answer.values["runs"][0]["metrics"]["trades"] > MOST_TRADES
    assert len(trades_of(answer)) == MOST_TRADES


def test_the_years_of_the_calendar_join_to_the_whole() -> None:
    bars = 900
    closes = 100 * numpy.cumprod(1 + numpy.random.default_rng(6).normal(0, 0.01, (bars, 1)), axis=0)

    answer = simulated(closes, closes, numpy.ones((bars, 1)))

    years = answer.values["years"]
    assert [year["year"] for year in years] == [1970, 1971, 1972]
    whole = numpy.prod([1 + year["return_percent"] / 100 for year in years])
    assert whole == pytest.approx(answer.arrays["equity"][-1] / START_EQUITY)
    # 1971-12-31 is bar 729, 1970-12-31 bar 364.
    assert years[1]["return_percent"] == pytest.approx(
        100 * (answer.arrays["equity"][729] / answer.arrays["equity"][364] - 1)
    )
    assert years[0]["benchmark_percent"] == years[0]["return_percent"]


def test_progress_counts_the_runs_of_the_whole_job() -> None:
    told: list[tuple[float, float | None]] = []
    prices = {"A/time": numpy.arange(3), "A/open": numpy.ones(3), "A/close": numpy.ones(3)}
    runs = {f"{index}/A": numpy.ones(3) for index in range(2)}

    run(
        Task(
            {"symbols": ["A"], "runs": 2, "fee_bps": 0, "slippage_bps": 0, "before": 25, "of": 200},
            {**prices, **runs},
            lambda done, total, _text: told.append((done, total)),
        )
    )

    assert told == [(26, 200), (27, 200)]
