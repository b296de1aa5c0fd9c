"""Indicators through a real server, against plain computations from the raw files."""

from __future__ import annotations

import base64
import json
import math
import statistics
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy
import pytest
import talib
from mcp.client import Client
from mcp_types import ImageContent

from mcp_server.indicators.catalogue import MA_TYPES, indicators
from mcp_server.indicators.charting import chart_job
from mcp_server.indicators.computing import Choice, compute
from mcp_server.indicators.survey import FILE, survey, written
from mcp_server.jobs.contract import Task
from mcp_server.market.sources.shipped import ShippedSource
from mcp_server.tests.harness import RunningServer, call, refusal
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


async def test_every_indicator_is_computed_with_its_defaults(client: Client) -> None:
    names = [name for group in (await call(client, "list_indicators"))["names"].values() for name in group]
    assert len(names) == 201

    for several in (names[at : at + 10] for at in range(0, len(names), 10)):
        got = await call(client, "compute_indicators", symbol="SPX", indicators=[{"name": name} for name in several])

        for name, result in zip(several, got["results"], strict=True):
            (listed,) = (await call(client, "list_indicators", category=name))["indicators"]
            assert result["params"] == {each["name"]: each["default"] for each in listed["params"]}
            assert list(result["latest"]) == ["date", *listed["outputs"]]
            # The arcsine of a price over 1 is not defined, and e to the 2,500th is no double.
            undefined = name in ("ACOS", "ASIN", "COSH", "EXP", "SINH")
            assert all((value is None) == undefined for value in result["latest"].values() if value != "2018-12-31")
            assert (result["note"] is not None) == undefined


async def test_without_a_category_names_and_titles_are_listed_by_category(client: Client) -> None:
    """Source: 201 full descriptions would fill a model's context; 16 KB are about 4,000 tokens."""
    listed = await call(client, "list_indicators")

    assert listed["indicators"] == []
    assert listed["categories"] == sorted(listed["names"])
    assert listed["names"]["overlap"]["BBANDS"] == "Bollinger Bands"
    assert len(json.dumps(listed)) < 16_000


async def test_a_category_describes_its_indicators(client: Client) -> None:
    listed = await call(client, "list_indicators", category="Overlap")

    assert {each["category"] for each in listed["indicators"]} == {"overlap"}
    assert list(listed["names"]) == ["overlap"]
    bands = next(each for each in listed["indicators"] if each["name"] == "BBANDS")
    assert [(each["name"], each["type"], each["default"]) for each in bands["params"]] == [
        ("timeperiod", "int", 20),
        ("nbdevup", "float", 2.0),
        ("nbdevdn", "float", 2.0),
        ("matype", "ma", "SMA"),
    ]
    assert bands["params"][0]["minimum"] == 2
    assert "HMA" in bands["params"][3]["choices"]
    assert bands["outputs"] == ["upperband", "middleband", "lowerband"]


@pytest.mark.parametrize("name", ["bbands", "linearreg slope", "Plus-DI"])
async def test_a_name_is_known_in_any_case_and_spacing(client: Client, name: str) -> None:
    assert len((await call(client, "list_indicators", category=name))["indicators"]) == 1


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("Bollinger", "BBANDS (Bollinger Bands)"),
        ("stochastic", "STOCH (Stochastic)"),
        ("Keltner", "KC (Keltner Channels)"),
        ("engulfing", "CDLENGULFING (Engulfing Pattern)"),
        ("true range", "TRANGE (True Range)"),
        ("MACDE", "MACD"),
    ],
)
async def test_another_word_for_an_indicator_is_answered_with_its_name(client: Client, asked: str, meant: str) -> None:
    assert f"Did you mean {meant}" in await refusal(
        client, "compute_indicators", symbol="SPX", indicators=[{"name": asked}]
    )


def test_what_is_said_of_the_functions_is_what_ta_lib_says() -> None:
    assert written(survey()) == FILE.read_text(encoding="utf-8")


def test_the_kinds_of_moving_average_have_ta_libs_numbers() -> None:
    titles: dict[int, str] = dict(vars(talib.MA_Type)["_lookup"])  # type: ignore[attr-defined]  # not in its __all__

    assert sorted(MA_TYPES.values()) == sorted(titles)
    for name, number in MA_TYPES.items():
        if name in indicators():
            assert indicators()[name].title.split("(")[0].strip().lower().replace("generalized ", "") in titles[
                number
            ].lower().replace("generalized ", "").replace("triple double", "triple")


@pytest.mark.parametrize(
    ("indicator", "limit", "told"),
    [
        ({"name": "XYZZY"}, 252, "No indicator 'XYZZY'. list_indicators names all"),
        ({"name": "RSI", "params": {"period": 14}}, 252, "RSI has no parameter 'period'. It takes: timeperiod."),
        ({"name": "RSI", "params": {"timeperiod": 1}}, 252, "must be a whole number from 2 to 100000"),
        ({"name": "RSI", "params": {"timeperiod": 100001}}, 252, "must be a whole number from 2 to 100000"),
        ({"name": "RSI", "params": {"timeperiod": 2.5}}, 252, "timeperiod of RSI is 2.5; it must be a whole number"),
        ({"name": "RSI", "params": {"timeperiod": "14"}}, 252, "timeperiod of RSI is '14'; it must be a whole number"),
        ({"name": "RSI", "params": {"timeperiod": True}}, 252, "indicators.0.params.timeperiod"),
        ({"name": "RSI", "parameters": {}}, 252, "indicators.0.parameters: unknown, there are name, params"),
        (
            {"name": "BBANDS", "params": {"matype": 1}},
            252,
            "matype of BBANDS is 1; it must be the kind of moving average",
        ),
        ({"name": "BBANDS", "params": {"matype": "EMAA"}}, 252, "matype of BBANDS is 'EMAA'; it must be the kind"),
        ({"name": "BBANDS", "params": {"nbdevup": "wide"}}, 252, "nbdevup of BBANDS is 'wide'; it must be a number."),
        (
            {"name": "MAMA", "params": {"fastlimit": 2}},
            252,
            "fastlimit of MAMA is 2; it must be a number from 0.01 to 0.99",
        ),
        ({"name": "OBV", "params": {"timeperiod": 9}}, 252, "OBV has no parameter 'timeperiod'. It takes none."),
        ({"name": "ATR", "column": "open"}, 252, "ATR reads high, low, close; no other column can be chosen."),
        ({"name": "RSI", "against": "IXIC"}, 252, "RSI works on one instrument"),
        ({"name": "CORREL", "against": "FOO"}, 252, "No instrument 'FOO'"),
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


def column(symbol: str, name: str) -> list[float]:
    return [float(row[name]) for row in raw_rows(symbol)]


async def latest(client: Client, name: str, **wanted: object) -> dict[str, Any]:
    got = await call(client, "compute_indicators", symbol="SPX", indicators=[{"name": name, **wanted}])
    values: dict[str, Any] = got["results"][0]["latest"]
    return values


async def test_bollinger_bands_are_two_deviations_around_the_mean(client: Client) -> None:
    """Source: John Bollinger's definition, with the deviation of the whole population."""
    bands = await latest(client, "BBANDS", params={"timeperiod": 20, "nbdevup": 2.5, "nbdevdn": 2})

    mean, deviation = statistics.fmean(closes("SPX", 20)), statistics.pstdev(closes("SPX", 20))
    assert bands["middleband"] == pytest.approx(mean)
    assert bands["upperband"] == pytest.approx(mean + 2.5 * deviation)
    assert bands["lowerband"] == pytest.approx(mean - 2 * deviation)


async def test_ema_starts_with_a_mean_and_forgets_by_two_over_period_plus_one(client: Client) -> None:
    got = await call(
        client,
        "compute_indicators",
        symbol="SPX",
        indicators=[{"name": "EMA", "params": {"timeperiod": 10}}],
        limit=40,
    )

    prices = closes("SPX", 40)
    average = sum(prices[:10]) / 10
    for price in prices[10:]:
        average += 2 / 11 * (price - average)
    assert got["results"][0]["latest"]["EMA"] == pytest.approx(average, rel=1e-9)


async def test_atr_is_wilders_average_of_the_true_range(client: Client) -> None:
    highs, lows, prices = (column("SPX", name) for name in ("high", "low", "close"))
    ranges = [
        max(high, before) - min(low, before) for high, low, before in zip(highs[1:], lows[1:], prices, strict=False)
    ]
    average = sum(ranges[:14]) / 14
    for each in ranges[14:]:
        average = (average * 13 + each) / 14

    assert (await latest(client, "ATR"))["ATR"] == pytest.approx(average, rel=1e-9)


async def test_another_column_can_be_averaged(client: Client) -> None:
    volume = await latest(client, "SMA", params={"timeperiod": 5}, column="volume")

    assert volume["SMA"] == pytest.approx(sum(column("SPX", "volume")[-5:]) / 5)


async def test_two_instruments_are_correlated_over_the_days_that_both_have(client: Client) -> None:
    correlation = await latest(client, "CORREL", params={"timeperiod": 60}, against="IXIC")

    wanted = statistics.correlation(closes("SPX", 60), closes("IXIC", 60))
    assert correlation["CORREL"] == pytest.approx(wanted, rel=1e-6)


async def test_a_kind_of_average_is_chosen_by_name(client: Client) -> None:
    chosen = await latest(client, "MA", params={"timeperiod": 20, "matype": "ema"})

    assert chosen["MA"] == (await latest(client, "EMA", params={"timeperiod": 20}))["EMA"]


async def test_a_pattern_tells_where_it_was_last_seen(client: Client) -> None:
    got = await call(client, "compute_indicators", symbol="SPX", indicators=[{"name": "CDLENGULFING"}], limit=252)

    (result,) = got["results"]
    rows = raw_rows("SPX")
    for event in result["events"]["last"]:
        at = next(index for index, row in enumerate(rows) if row["date"] == event["date"])
        (o1, c1), (o2, c2) = ((float(rows[each]["open"]), float(rows[each]["close"])) for each in (at - 1, at))
        assert math.copysign(1, event["CDLENGULFING"]) == (1 if c2 > o2 else -1)
        assert min(o2, c2) <= min(o1, c1) <= max(o1, c1) <= max(o2, c2)
    assert result["tail"] == []
    assert result["events"]["total"] >= len(result["events"]["last"]) == 10


async def test_a_position_is_told_as_its_date(client: Client) -> None:
    highest = await latest(client, "MAXINDEX", params={"timeperiod": 252})

    prices = {row["date"]: float(row["close"]) for row in raw_rows("SPX")[-252:]}
    assert highest["MAXINDEX"] == max(prices, key=prices.__getitem__)


async def test_bars_without_volume_are_not_asked_for_it(client: Client) -> None:
    lines = [f"2024-01-{day:02},1,2,0.5,1.5" for day in range(1, 30)]
    await call(client, "import_bars", symbol="SILENT", csv="\n".join(["date,open,high,low,close", *lines]))

    assert "OBV needs volume, and these bars report none" in await refusal(
        client, "compute_indicators", symbol="SILENT", indicators=[{"name": "OBV"}]
    )


async def test_a_chart_comes_beside_the_figures(client: Client) -> None:
    wanted = {
        "symbol": "SPX",
        "indicators": [{"name": name} for name in ("BBANDS", "RSI", "MACD", "CDLENGULFING", "MAXINDEX", "ACOS")],
        "limit": 120,
    }
    plain = await client.call_tool("compute_indicators", wanted, read_timeout_seconds=60)
    drawn = [
        await client.call_tool("compute_indicators", {**wanted, "chart": True}, read_timeout_seconds=60)
        for _ in range(2)
    ]

    assert [block.type for block in plain.content] == ["text"]
    assert [block.type for block in drawn[0].content] == ["text", "image"]
    assert drawn[0].structured_content == plain.structured_content
    image = drawn[0].content[1]
    assert isinstance(image, ImageContent)
    assert image.mime_type == "image/png"
    png = base64.b64decode(image.data)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    assert (width, 900 < height < 1400, len(png) < 300_000) == (960, True, True)
    assert drawn[1].content[1] == image


@pytest.mark.parametrize("limit", [1, 2, 5031])
async def test_a_chart_of_few_or_many_bars_is_drawn(client: Client, limit: int) -> None:
    result = await client.call_tool(
        "compute_indicators",
        {"symbol": "VIX" if limit == 2 else "SPX", "indicators": [{"name": "LN"}], "limit": limit, "chart": True},
        read_timeout_seconds=60,
    )

    assert [block.type for block in result.content] == ["text", "image"]


def test_every_kind_of_indicator_is_drawn() -> None:
    """One for each way of drawing, run here and not in a child: what differs from one to the next is the drawing."""
    from mcp_server.jobs import indicator_chart  # brings matplotlib

    instrument, bars = ShippedSource().find("SPX", None) or pytest.fail("SPX is shipped")
    used = bars.last(300)
    kinds = {(each.overlay, each.is_event, tuple(each.outputs.values())): each for each in indicators().values()}
    assert len(kinds) > 8

    for indicator in kinds.values():
        job = chart_job(instrument, used, [compute(indicator, used, Choice({}))])
        arrays = {name: numpy.frombuffer(column, dtype=column.typecode) for name, column in job.arrays.items()}
        answer = indicator_chart.run(Task(job.arguments, arrays))

        assert answer.blobs["png"].startswith(b"\x89PNG"), indicator.name
        assert answer.values["panels"] <= 2


def mapped(pid: int) -> str:
    """The files that a process has loaded."""
    return Path(f"/proc/{pid}/maps").read_text()


async def test_the_server_itself_never_loads_matplotlib(server: RunningServer, client: Client) -> None:
    await client.call_tool(
        "compute_indicators",
        {"symbol": "SPX", "indicators": [{"name": "RSI"}], "chart": True},
        read_timeout_seconds=60,
    )

    loaded = mapped(server.process.pid)
    assert "_ta_lib" in loaded
    assert "matplotlib" not in loaded
