"""Bars of an exchange: real ccxt in its real process, against an exchange on loopback."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from importlib.util import find_spec

import pytest
from mcp.client import Client

from mcp_server.errors import ExchangeFailed, ExchangeUnreachable, UnknownSymbol
from mcp_server.exchange.client import ExchangeClient
from mcp_server.exchange.protocol import EXCHANGES
from mcp_server.market.source import Surroundings
from mcp_server.market.sources import exchange as plug_in
from mcp_server.market.sources.exchange import ExchangeSource
from mcp_server.market.times import BY_NAME
from mcp_server.storage.database import Database
from mcp_server.storage.exchange_bars import ExchangeBars
from mcp_server.tests.harness import call, refusal
from mcp_server.tests.scripted_exchange import ScriptedExchange, price, scripted_exchange

if find_spec("ccxt") is None:
    pytest.skip("the optional extra for exchanges is not installed", allow_module_level=True)

BTC = "binance:BTC/USDT"


@pytest.fixture(scope="module")
def script() -> Iterator[ScriptedExchange]:
    with scripted_exchange() as running:
        yield running


@pytest.fixture(scope="module")
def worker(script: ScriptedExchange) -> Iterator[ExchangeClient]:
    """One process for all tests, as a server has."""
    client = ExchangeClient(instead=script.url)
    yield client
    client.close()


@pytest.fixture
def told() -> list[str]:
    """The symbols that new bars were announced for."""
    return []


@pytest.fixture
def source(database: Database, script: ScriptedExchange, worker: ExchangeClient, told: list[str]) -> ExchangeSource:
    script.asked.clear()
    script.status, script.opened_ms = 200, 0
    return ExchangeSource(Surroundings(database, told.append), worker)


def found(source: ExchangeSource, symbol: str = BTC, interval: str = "1h"):  # type: ignore[no-untyped-def]  # as in find
    answer = source.find(symbol, BY_NAME[interval])
    assert answer is not None
    return answer


def older(database: Database, *, bars_dropped: int, asked_s_ago: float = 3600) -> None:
    """As if the kept series had been fetched that long ago."""
    kept = ExchangeBars(database)
    for series in kept.all():
        _, bars = kept.find(series.symbol, [series.interval]) or pytest.fail("it is kept")
        kept.keep(series.symbol, bars[: len(bars) - bars_dropped], currency=series.currency)
    with database.writing() as connection:
        connection.execute("UPDATE exchange_bars SET asked_at = asked_at - ?", (asked_s_ago,))


def test_bars_are_those_of_the_exchange_and_all_have_ended(source: ExchangeSource, told: list[str]) -> None:
    instrument, bars = found(source)

    assert (instrument.symbol, instrument.currency, instrument.interval) == (BTC, "USDT", "1h")
    assert 1_998 <= len(bars) <= 2_000
    assert [round(close) for close in bars.close] == [price(moment // 10**6) for moment in bars.times]
    assert time.time_ns() - 2 * 3600 * 10**9 < bars.times[-1] <= time.time_ns() - 3600 * 10**9
    assert set(bars.volume) == {5.5}
    assert told == [BTC]


def test_what_is_kept_is_not_asked_for_again(source: ExchangeSource, script: ScriptedExchange, told: list[str]) -> None:
    first = found(source)
    questions = len(script.asked)

    again = found(source, "Binance:btc/usdt")

    assert again == first
    assert len(script.asked) == questions
    assert told == [BTC]


def test_only_what_is_new_is_asked_for(
    source: ExchangeSource, script: ScriptedExchange, database: Database, told: list[str]
) -> None:
    _, whole = found(source)
    older(database, bars_dropped=5)
    script.asked.clear()

    _, renewed = found(source)

    (question,) = script.asked
    assert int(question["startTime"]) == whole.times[-6] // 10**6
    assert renewed == whole
    assert told == [BTC, BTC]


def test_weeks_are_joined_from_days_and_begin_on_monday(source: ExchangeSource, script: ScriptedExchange) -> None:
    _, bars = found(source, interval="1w")

    assert {question["interval"] for question in script.asked} == {"1d"}
    assert bars.interval.name == "1d"
    assert bars.resampled(BY_NAME["1w"]).times[0] % (7 * 86_400 * 10**9) == 4 * 86_400 * 10**9


def test_a_young_market_has_the_bars_that_there_are(source: ExchangeSource, script: ScriptedExchange) -> None:
    script.opened_ms = int(time.time() * 1000) - 10 * 3_600_000

    assert 9 <= len(found(source)[1]) <= 10


def test_a_failing_exchange_leaves_what_is_kept_and_says_so(
    source: ExchangeSource, script: ScriptedExchange, database: Database
) -> None:
    _, bars = found(source)
    older(database, bars_dropped=1)
    script.status = 503

    instrument, still = found(source)

    assert still == bars[:-1]
    assert instrument.note is not None
    assert instrument.note.startswith("These bars could not be brought up to date. The exchange can't be reached")
    questions = len(script.asked)
    assert "try again in" in (found(source)[0].note or "")
    assert len(script.asked) == questions


def test_a_busy_exchange_is_not_called_unreachable(source: ExchangeSource, script: ScriptedExchange) -> None:
    script.status = 429

    with pytest.raises(ExchangeFailed, match="allows no more questions now"):
        found(source, "binance:ETH/USDT")


def test_a_market_that_there_is_not_is_answered_with_likely_ones(source: ExchangeSource) -> None:
    found(source)

    with pytest.raises(UnknownSymbol, match=r"binance has no market BTC/USD. Did you mean BTC/USDT"):
        found(source, "binance:BTC/USD")


@pytest.mark.parametrize("symbol", ["SPX", "BTC/USDT", "binance:", ":BTC/USDT", "http://evil.example/x y", "a:b:c d"])
def test_what_names_no_exchange_is_left_to_other_sources(source: ExchangeSource, symbol: str) -> None:
    assert source.find(symbol, None) is None


@pytest.mark.parametrize("symbol", ["evil:BTC/USDT", "http://evil.example/x", "localhost:8000/x", "binance.evil:X"])
def test_only_exchanges_of_the_list_are_ever_asked(
    source: ExchangeSource, script: ScriptedExchange, symbol: str
) -> None:
    """Source: a host that a user gave is never dialled."""
    with suppress(UnknownSymbol):
        assert source.find(symbol, None) is None
    assert script.asked == []


def test_every_exchange_of_the_list_is_known_to_ccxt_and_gives_bars() -> None:
    import ccxt  # takes a second, which each process that collects tests would pay

    for name in EXCHANGES:
        exchange = getattr(ccxt, name)()
        assert exchange.has["fetchOHLCV"], name
        assert "1d" in exchange.timeframes, name


def test_without_a_network_the_error_says_so(database: Database) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as unused:
        port = unused.getsockname()[1]
    client = ExchangeClient(instead=f"http://127.0.0.1:{port}")
    source = ExchangeSource(Surroundings(database, lambda _: None), client)

    with pytest.raises(ExchangeUnreachable, match="The exchange can't be reached from this workspace"):
        found(source)
    source.close()


def test_an_exchange_that_does_not_answer_is_left_at_the_deadline(database: Database, script: ScriptedExchange) -> None:
    client = ExchangeClient(instead=script.url, deadline_s=2)
    source = ExchangeSource(Surroundings(database, lambda _: None), client)
    script.wait.clear()

    with pytest.raises(ExchangeUnreachable, match="no answer in 2 s"):
        found(source)

    script.wait.set()
    source.close()


def test_what_was_not_used_for_the_longest_time_leaves_a_full_cache(source: ExchangeSource, database: Database) -> None:
    _, bars = found(source)
    size = 0
    with database.reading() as connection:
        size = connection.execute("SELECT LENGTH(packed) FROM exchange_bars").fetchone()[0]
    kept = ExchangeBars(database, most_bytes=3 * size)

    for number in range(5):
        kept.keep(f"binance:X{number}/USDT", bars, currency="USDT")

    assert [series.symbol for series in kept.all()] == [f"binance:X{number}/USDT" for number in (2, 3, 4)]


def test_kept_series_are_listed(source: ExchangeSource) -> None:
    found(source, interval="1d")
    instrument, bars = found(source)

    listed = source.instruments()

    assert [(each.symbol, each.interval, each.bars) for each in listed] == [(BTC, "1d", 1999), (BTC, "1h", len(bars))]
    assert (listed[1].first, listed[1].last) == (instrument.first, instrument.last)


def test_the_plug_in_opens_without_starting_anything(database: Database) -> None:
    source = plug_in.open_source(Surroundings(database, lambda _: None))

    assert source.instruments() == ()
    source.close()


async def test_an_exchange_that_there_is_not_is_refused_by_the_tool(client: Client) -> None:
    assert "No exchange 'mtgox'. There are: binance" in await refusal(client, "get_bars", symbol="mtgox:BTC/USD")
    assert (await call(client, "list_instruments"))["instruments"]
