"""Indicators through a real server, against plain computations from the raw files."""

from __future__ import annotations

from itertools import pairwise

import pytest
from mcp.client import Client

from mcp_server.tests.harness import call, refusal
from mcp_server.tests.test_market import raw_rows


def closes(symbol: str, last: int) -> list[float]:
    return [float(row["close"]) for row in raw_rows(symbol)[-last:]]


def wilder_rsi(prices: list[float], period: int) -> float:
    """RSI as J. Welles Wilder wrote it down in 1978: the first averages are means, later ones smoothed by 1/period."""
    changes = [later - earlier for earlier, later in pairwise(prices)]
    gain = sum(max(change, 0) for change in changes[:period]) / period
    loss = sum(max(-change, 0) for change in changes[:period]) / period
    for change in changes[period:]:
        gain = (gain * (period - 1) + max(change, 0)) / period
        loss = (loss * (period - 1) + max(-change, 0)) / period
    return 100 - 100 / (1 + gain / loss)


@pytest.mark.parametrize("symbol", ["SPX", "IXIC"])
@pytest.mark.parametrize("period", [2, 14, 100])
async def test_rsi_over_the_last_252_bars_is_wilders(client: Client, symbol: str, period: int) -> None:
    got = await call(
        client,
        "compute_indicators",
        symbol=symbol,
        indicators=[{"name": "RSI", "params": {"timeperiod": period}}],
        limit=252,
    )

    assert (got["from"], got["to"], got["bars"]) == ("2017-12-29", "2018-12-31", 252)
    (rsi,) = got["results"]
    assert rsi["params"] == {"timeperiod": period}
    assert rsi["latest"]["date"] == "2018-12-31"
    assert rsi["latest"]["RSI"] == pytest.approx(wilder_rsi(closes(symbol, 252), period), rel=1e-9)
    assert rsi["values"] == 252 - period
    assert rsi["tail"][-1] == rsi["latest"]
    assert len(rsi["tail"]) == 10


async def test_sma_is_the_mean_of_the_last_closes(client: Client) -> None:
    got = await call(
        client,
        "compute_indicators",
        symbol="SPX",
        indicators=[{"name": "sma", "params": {"timeperiod": 50}}],
        end="2018-12-31",
    )

    assert got["bars"] == 5031
    assert got["close"] == closes("SPX", 1)[0]
    assert got["results"][0]["latest"]["SMA"] == pytest.approx(sum(closes("SPX", 50)) / 50)


async def test_macd_is_the_difference_of_its_averages(client: Client) -> None:
    """Long after its start an exponential average no longer depends on how it was started."""
    got = await call(client, "compute_indicators", symbol="SPX", indicators=[{"name": "MACD"}])

    def ema(values: list[float], period: int) -> list[float]:
        averages = [values[0]]
        for value in values[1:]:
            averages.append(averages[-1] + 2 / (period + 1) * (value - averages[-1]))
        return averages

    prices = closes("SPX", 5031)
    macd = [fast - slow for fast, slow in zip(ema(prices, 12), ema(prices, 26), strict=True)]
    signal = ema(macd, 9)[-1]
    latest = got["results"][0]["latest"]
    assert latest["macd"] == pytest.approx(macd[-1])
    assert latest["macdsignal"] == pytest.approx(signal)
    assert latest["macdhist"] == pytest.approx(macd[-1] - signal)


async def test_several_are_computed_at_once_in_the_order_asked(client: Client) -> None:
    names = ["SMA", "MACD", "RSI"]

    got = await call(
        client, "compute_indicators", symbol="IXIC", indicators=[{"name": name} for name in names], start="2018-01-01"
    )

    assert [each["name"] for each in got["results"]] == names


async def test_every_listed_indicator_is_computed_with_its_defaults(client: Client) -> None:
    listed = (await call(client, "list_indicators"))["indicators"]

    for indicator in listed:
        got = await call(client, "compute_indicators", symbol="SPX", indicators=[{"name": indicator["name"]}])
        (result,) = got["results"]
        assert result["params"] == {each["name"]: each["default"] for each in indicator["params"]}
        assert list(result["latest"]) == ["date", *indicator["outputs"]]


async def test_indicators_are_listed_by_category(client: Client) -> None:
    listed = await call(client, "list_indicators", category="Momentum")

    assert [each["name"] for each in listed["indicators"]] == ["MACD", "RSI"]
    assert listed["categories"] == ["momentum", "overlap"]


@pytest.mark.parametrize(
    ("indicator", "limit", "told"),
    [
        ({"name": "FOO"}, 252, "There are: MACD, RSI, SMA."),
        ({"name": "RSI", "params": {"period": 14}}, 252, "RSI has no parameter 'period'. It takes: timeperiod."),
        ({"name": "RSI", "params": {"timeperiod": 1}}, 252, "must be a whole number from 2 to 100000"),
        ({"name": "RSI", "params": {"timeperiod": 100001}}, 252, "must be a whole number from 2 to 100000"),
        ({"name": "RSI", "params": {"timeperiod": 2.5}}, 252, "indicators.0.params.timeperiod"),
        ({"name": "RSI", "params": {"timeperiod": "14"}}, 252, "indicators.0.params.timeperiod"),
        ({"name": "RSI", "parameters": {}}, 252, "indicators.0.parameters: unknown, there are name, params"),
        ({"name": "SMA", "params": {"timeperiod": 200}}, 30, "needs at least 200 bars, the range holds 30."),
        ({"name": "RSI"}, 14, "needs at least 15 bars"),
        ({"name": "MACD"}, 33, "needs at least 34 bars"),
    ],
)
async def test_a_wrong_request_is_explained(client: Client, indicator: object, limit: int, told: str) -> None:
    assert told in await refusal(client, "compute_indicators", symbol="SPX", indicators=[indicator], limit=limit)


@pytest.mark.parametrize(("name", "enough"), [("SMA", 30), ("RSI", 15), ("MACD", 34)])
async def test_the_fewest_bars_that_are_said_to_be_enough_are(client: Client, name: str, enough: int) -> None:
    got = await call(client, "compute_indicators", symbol="SPX", indicators=[{"name": name}], limit=enough)

    assert got["results"][0]["values"] == 1
