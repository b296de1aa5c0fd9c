"""Losses to come, against closed forms and what must hold for any returns."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mcp_server.backtests.limits import checks_of, verdict_of
from mcp_server.jobs import risk
from mcp_server.jobs.contract import Refused, Task
from mcp_server.storage.preferences import Preferences

METRICS = {"max_drawdown_percent": 25.0, "largest_position_percent": 100.0}
DRAWDOWN = {"over_limit_percent": 3.0, "paths": 5_000, "bars": 252}


def equity_of(returns: Any) -> Any:
    return 100_000 * numpy.cumprod(numpy.concatenate([[1.0], 1 + numpy.asarray(returns)]))


def assessed(returns: Any, **arguments: Any) -> dict[str, Any]:
    usual = {"seed": 7, "horizon": 252, "limit_percent": None}
    return risk.run(Task({**usual, **arguments}, {"equity": equity_of(returns)})).values


def tails(answer: dict[str, Any]) -> dict[tuple[int, int], tuple[float, float]]:
    """Value at risk and shortfall by confidence and bars."""
    return {
        (each["confidence_percent"], each["bars"]): (
            each["value_at_risk_percent"],
            each["expected_shortfall_percent"],
        )
        for each in answer["value_at_risk"]
    }


@pytest.mark.parametrize("confidence", [95, 99])
def test_normal_returns_have_the_losses_of_the_closed_form(confidence: int) -> None:
    """Source: for N(m, s), VaR = s z - m and ES = s f(z) / (1 - c) - m, with z the quantile and f the density."""
    mean, spread = 0.0005, 0.01
    normal = NormalDist()
    z = normal.inv_cdf(confidence / 100)
    returns = [NormalDist(mean, spread).inv_cdf((index + 0.5) / 20_000) for index in range(20_000)]

    at_risk, shortfall = tails(assessed(returns))[confidence, 1]

    assert at_risk == pytest.approx(100 * (spread * z - mean), rel=1e-3)
    assert shortfall == pytest.approx(100 * (spread * normal.pdf(z) / (1 - confidence / 100) - mean), rel=5e-3)


def test_ten_bars_lose_the_root_of_ten_times_as_much() -> None:
    found = tails(assessed(numpy.random.default_rng(1).normal(0, 0.01, 1_000)))

    for confidence in (95, 99):
        for one, ten in zip(found[confidence, 1], found[confidence, 10], strict=True):
            assert ten == pytest.approx(one * 10**0.5)


@settings(deadline=None)
@given(arrays(float, st.integers(100, 300), elements=st.floats(-0.5, 0.5)))
def test_losses_grow_with_confidence_and_shortfall_is_the_larger(returns: Any) -> None:
    at_risk, shortfall = risk.historical(returns, 95)
    rarer, worse = risk.historical(returns, 99)

    assert 0 <= at_risk <= rarer <= worse
    # The mean of equal numbers is not to the last bit the number.
    assert at_risk <= shortfall <= worse * (1 + 1e-12)


@given(st.floats(0, 60), st.floats(0, 60))
@settings(deadline=None)
def test_a_wider_limit_is_passed_less_often(one: float, other: float) -> None:
    returns = numpy.random.default_rng(2).normal(0, 0.02, 200)
    narrow, wide = (
        assessed(returns, limit_percent=limit, horizon=50)["drawdown"]["over_limit_percent"]
        for limit in sorted((one, other))
    )

    assert narrow >= wide


def test_the_same_seed_draws_the_same_paths_and_another_seed_others() -> None:
    returns = numpy.random.default_rng(3).normal(0, 0.01, 500)

    assert assessed(returns) == assessed(returns)
    assert assessed(returns)["drawdown"] != assessed(returns, seed=8)["drawdown"]


def test_percentiles_of_the_drawdowns_rise_and_grow_with_the_horizon() -> None:
    returns = numpy.random.default_rng(4).normal(0.0003, 0.01, 2_000)
    year, month = (assessed(returns, horizon=bars)["drawdown"]["percentiles"] for bars in (252, 21))

    assert list(year.values()) == sorted(year.values())
    assert all(year[each] >= month[each] for each in year)


def test_the_drawdown_of_a_walk_without_drift_is_the_closed_forms() -> None:
    """Source: Magdon-Ismail et al. 2004: the mean maximum drawdown over n bars without drift is s sqrt(pi n / 2).

    Seen once a bar and not all the time, a maximum and a minimum lack 0.5826 s each (Broadie, Glasserman, Kou 1997).
    """
    spread, bars = 0.001, 252
    returns = numpy.random.default_rng(5).normal(0, spread, 20_000)

    mean = assessed(returns - returns.mean(), horizon=bars)["drawdown"]["mean_percent"]

    assert mean == pytest.approx(100 * spread * ((numpy.pi * bars / 2) ** 0.5 - 2 * 0.5826), rel=0.02)


def test_an_account_of_cash_risks_nothing() -> None:
    answer = assessed(numpy.zeros(150), limit_percent=10)

    assert set(tails(answer).values()) == {(0, 0)}
    assert answer["drawdown"]["over_limit_percent"] == answer["drawdown"]["mean_percent"] == 0


def test_a_lost_account_is_measured_up_to_its_end() -> None:
    returns = [0.01, -0.01] * 60 + [-1.0] + [0.0] * 500

    answer = assessed(returns, limit_percent=50)

    assert answer["returns"] == 121
    assert answer["drawdown"]["percentiles"]["99"] == 100


def test_too_few_bars_are_refused() -> None:
    with pytest.raises(Refused, match="100 are needed"):
        assessed(numpy.zeros(99))


def verdict(**preferences: Any) -> str:
    return verdict_of(checks_of(Preferences(**preferences), metrics=METRICS, drawdown=DRAWDOWN))


def test_the_verdict_names_what_exceeds_which_limit() -> None:
    text = verdict(max_drawdown_percent=20, max_position_percent=50)

    assert text.startswith(
        "Exceeds your limits: the account fell 25.0 % from a peak in the backtest, your limit is 20 %"
    )
    assert "the largest position was 100.0 % of the account, your limit is 50 %" in text


def test_the_verdict_within_the_limits_has_its_numbers() -> None:
    text = verdict(max_drawdown_percent=30, max_position_percent=100)

    assert text.startswith("Within your limits: ")
    assert "3.0 % of 5,000 simulated stretches of 252 bars fall more than 30 %" in text


def test_a_lower_tolerance_bears_less_likelihood() -> None:
    assert verdict(max_drawdown_percent=30, risk_tolerance="high").startswith("Within")
    assert verdict(max_drawdown_percent=30, risk_tolerance="low").startswith("Exceeds")


def test_without_limits_the_verdict_asks_for_them() -> None:
    assert "set_preferences" in verdict()
