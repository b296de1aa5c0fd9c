"""Shipped and imported bars through a real server."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest
from mcp.client import Client

from mcp_server.market.sources.shipped import SHIPPED_FOLDER, ShippedSource
from mcp_server.tests.harness import call, refusal

CSV = "date,open,high,low,close\n2024-01-02,1,2,0.5,1.5\n2024-01-03,1.5,2,1,1.75\n"


def raw_rows(symbol: str) -> list[dict[str, str]]:
    """The shipped file as Python's csv module reads it."""
    with gzip.open(SHIPPED_FOLDER / f"{symbol}.csv.gz", "rt") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("instrument", ShippedSource().instruments(), ids=lambda each: each.symbol)
def test_what_is_said_of_a_shipped_instrument_is_true(instrument) -> None:  # type: ignore[no-untyped-def]  # by pytest
    bars = ShippedSource().bars(instrument.symbol)

    assert (instrument.first, instrument.last, instrument.bars) == (bars.dates[0], bars.dates[-1], len(bars))


def test_every_shipped_file_names_its_source_and_licence() -> None:
    sources, notice = ((SHIPPED_FOLDER / name).read_text() for name in ("SOURCES.md", "NOTICE"))

    for file in SHIPPED_FOLDER.glob("*.csv.gz"):
        assert f"`{file.name}`" in sources
        assert file.name in notice
    assert "Permission is hereby granted" in notice
    assert "Redistribution and use in source and binary forms" in notice


@pytest.mark.parametrize("instrument", ShippedSource().instruments(), ids=lambda each: each.symbol)
def test_closes_without_a_range_are_marked_as_such(instrument) -> None:  # type: ignore[no-untyped-def]  # by pytest
    bars = ShippedSource().bars(instrument.symbol)

    flat = bars.open == bars.high == bars.low == bars.close and not any(bars.volume)
    assert flat == ("Only the daily close is known" in (instrument.note or ""))


async def test_instruments_are_listed_with_their_dates(client: Client) -> None:
    listed = await call(client, "list_instruments")

    assert {(each["symbol"], each["first"], each["last"], each["bars"]) for each in listed["instruments"]} >= {
        ("SPX", "1999-01-04", "2018-12-31", 5031),
        ("IXIC", "1999-01-04", "2018-12-31", 5031),
    }


@pytest.mark.parametrize("name", ["SPX", "spx", " S&P 500 ", "^GSPC", "sp500"])
async def test_an_instrument_is_found_by_symbol_name_and_alias(client: Client, name: str) -> None:
    assert (await call(client, "get_bars", symbol=name, limit=1))["symbol"] == "SPX"


async def test_bars_are_the_figures_of_the_shipped_file(client: Client) -> None:
    got = await call(client, "get_bars", symbol="SPX", start="2018-12-01", end="2018-12-31")

    wanted = [row for row in raw_rows("SPX") if row["date"] >= "2018-12-01"]
    assert got["columns"] == ["date", "open", "high", "low", "close", "volume"]
    assert got["rows"] == [[row["date"], *(float(row[name]) for name in got["columns"][1:])] for row in wanted]
    assert (got["from"], got["to"], got["bars"], got["cut"]) == ("2018-12-03", "2018-12-31", 19, None)


async def test_a_range_over_the_limit_gives_its_last_bars_and_says_what_it_cut(client: Client) -> None:
    got = await call(client, "get_bars", symbol="SPX", end="2018-06-01", limit=2)

    assert [row[0] for row in got["rows"]] == ["2018-05-31", "2018-06-01"]
    assert got["cut"].startswith("The range has 4885 bars from 1999-01-04; only its last 2 are given.")


async def test_errors_tell_a_model_what_to_do_next(client: Client) -> None:
    assert "Did you mean SPX?" in await refusal(client, "get_bars", symbol="SPXX")
    assert "import_bars" in await refusal(client, "get_bars", symbol="TSLA")
    assert "It has 5031 from 1999-01-04 to 2018-12-31" in await refusal(
        client, "get_bars", symbol="SPX", start="2024-01-01"
    )
    assert "limt: unknown, there are symbol, interval, start, end, limit" in await refusal(
        client, "get_bars", symbol="SPX", limt=3
    )
    assert "limit: Input should be less than or equal to 500" in await refusal(
        client, "get_bars", symbol="SPX", limit=501
    )


async def test_imported_bars_are_read_back_and_replaced_whole(client: Client) -> None:
    imported = await call(client, "import_bars", symbol="btc/usdt", csv=CSV)
    assert imported == {"symbol": "BTC/USDT", "from": "2024-01-02", "to": "2024-01-03", "bars": 2, "notes": []}
    assert (await call(client, "get_bars", symbol="BTC/USDT"))["rows"][1] == ["2024-01-03", 1.5, 2, 1, 1.75, 0]

    await call(client, "import_bars", symbol="BTC/USDT", csv=CSV.rsplit("\n", 2)[0])

    assert (await call(client, "get_bars", symbol="BTC/USDT"))["bars"] == 1


async def test_a_rejected_file_leaves_the_earlier_import(client: Client) -> None:
    await call(client, "import_bars", symbol="KEPT", csv=CSV)

    assert "line 3: close 'x' is not" in await refusal(
        client, "import_bars", symbol="KEPT", csv=CSV.replace("1.75", "x")
    )

    assert (await call(client, "get_bars", symbol="KEPT"))["bars"] == 2


async def test_a_shipped_symbol_is_not_replaced(client: Client) -> None:
    assert "Import as MY.SPX instead" in await refusal(client, "import_bars", symbol="SPX", csv=CSV)
    assert (await call(client, "get_bars", symbol="SPX"))["to"] == "2018-12-31"


@pytest.mark.parametrize("symbol", ["../../etc/passwd", ".hidden", "", "A" * 33, "A B", "A\u0000"])
async def test_a_symbol_that_is_none_is_refused(client: Client, symbol: str) -> None:
    assert "symbol:" in await refusal(client, "import_bars", symbol=symbol, csv=CSV)


def test_the_shipped_files_are_small() -> None:
    """Source: they go with every copy of the repository and every image."""
    assert sum(file.stat().st_size for file in Path(SHIPPED_FOLDER).iterdir()) < 1_500_000


async def test_hours_are_imported_and_joined_into_days(client: Client) -> None:
    lines = [f"2024-01-{2 + hour // 24:02}T{hour % 24:02}:00:00Z,1,{2 + hour},0.5,1.5,10" for hour in range(48)]
    await call(client, "import_bars", symbol="HOURLY", csv="\n".join(["date,open,high,low,close,volume", *lines]))

    own = await call(client, "get_bars", symbol="HOURLY", start="2024-01-03T22:00:00Z")
    days = await call(client, "get_bars", symbol="HOURLY", interval="1d")
    listed = (await call(client, "list_instruments"))["instruments"]

    assert (own["interval"], own["from"], own["to"], own["bars"]) == (
        "1h",
        "2024-01-03T22:00:00Z",
        "2024-01-03T23:00:00Z",
        2,
    )
    assert days["rows"] == [["2024-01-02", 1, 25, 0.5, 1.5, 240], ["2024-01-03", 1, 49, 0.5, 1.5, 240]]
    assert next(each["interval"] for each in listed if each["symbol"] == "HOURLY") == "1h"


async def test_weeks_are_joined_from_days(client: Client) -> None:
    got = await call(client, "get_bars", symbol="SPX", interval="1w", start="2018-12-17", end="2018-12-24")

    days = [row for row in raw_rows("SPX") if "2018-12-17" <= row["date"] <= "2018-12-28"]
    weeks = [
        [row for row in days if low <= row["date"] <= high]
        for low, high in (("2018-12-17", "2018-12-21"), ("2018-12-24", "2018-12-28"))
    ]
    assert got["rows"] == [
        [
            week[0]["date"],
            float(week[0]["open"]),
            max(float(row["high"]) for row in week),
            min(float(row["low"]) for row in week),
            float(week[-1]["close"]),
            sum(float(row["volume"]) for row in week),
        ]
        for week in weeks
    ]


async def test_a_finer_interval_than_the_data_is_refused_with_what_there_is(client: Client) -> None:
    assert "SPX has bars of 1d, 1h is finer. Ask for 1d, 1w, or import finer bars" in await refusal(
        client, "get_bars", symbol="SPX", interval="1h"
    )
    assert "interval" in await refusal(client, "get_bars", symbol="SPX", interval="2h")


@pytest.mark.parametrize("moment", ["yesterday", "2018-13-01", "01/02/2018", "2018-12-01T25:00Z"])
async def test_a_moment_that_is_none_is_refused(client: Client, moment: str) -> None:
    assert "start: Value error" in await refusal(client, "get_bars", symbol="SPX", start=moment)
