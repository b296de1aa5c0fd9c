"""Live exchanges through ccxt: `binance:BTC/USDT`. Bars are fetched once, kept in the user's file and brought up to date."""

from __future__ import annotations

import math
import re
import threading
import time
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import replace

from mcp_server.errors import ExchangeFailed, UnknownSymbol
from mcp_server.exchange.client import ExchangeClient
from mcp_server.exchange.protocol import EXCHANGES, Fetched, Request
from mcp_server.market.bars import Bars
from mcp_server.market.instrument import Instrument, instrument_of
from mcp_server.market.source import Surroundings
from mcp_server.market.times import BY_NAME, DAILY, INTERVALS, WEEK, Interval, show_moment
from mcp_server.storage.exchange_bars import ExchangeBars, Series

PRIORITY = 30

# `exchange:market`, the market as ccxt writes it. Only the exchange's name chooses where a request goes.
SYMBOL = re.compile(r"([A-Za-z0-9]{2,20}):([A-Za-z0-9][A-Za-z0-9./:_-]{1,39})", re.ASCII)

# How far back the first question goes, and how long a kept series may become.
FIRST_BARS = 2_000
MOST_BARS = 20_000

# A strategy that steps, or a model that tries again, asks an exchange no more often than this.
PAUSE_S = 10.0

MS = 1_000_000


class ExchangeSource:
    """Markets of allow-listed exchanges. Only bars that have ended are given: the running one still changes."""

    def __init__(self, surroundings: Surroundings, client: ExchangeClient) -> None:
        self._kept = ExchangeBars(surroundings.database)
        self._announce = surroundings.announce
        self._client = client
        self._lock = threading.Lock()
        self._failed: dict[tuple[str, str], float] = {}

    def instruments(self) -> Sequence[Instrument]:
        return tuple(_listed(series) for series in self._kept.all())

    def find(self, wanted: str, interval: Interval | None) -> tuple[Instrument, Bars] | None:
        """Raises UnknownSymbol for an exchange or market that there is not, ExchangeFailed when it gives no bars.

        When the exchange fails but bars are kept, those are given and the instrument's note says so.
        """
        named = SYMBOL.fullmatch(wanted)
        if named is None:
            return None
        exchange, market = named[1].lower(), named[2].upper()
        if exchange not in EXCHANGES:
            raise UnknownSymbol(f"No exchange {exchange!r}. There are: {', '.join(EXCHANGES)}.")
        # Whose step this is may have been deleted while the exchange was asked.
        with self._lock, self._kept.same_file():
            instrument, bars, changed = self._current(exchange, market, _acceptable(interval or DAILY))
        # Outside the lock: whoever is told may ask for the bars.
        if changed:
            self._announce(instrument.symbol)
        return instrument, bars

    def close(self) -> None:
        self._client.close()

    def _current(self, exchange: str, market: str, intervals: tuple[str, ...]) -> tuple[Instrument, Bars, bool]:
        """The bars as new as can be had, and whether there are newer ones than before."""
        symbol = f"{exchange}:{market}"
        kept = self._kept.find(symbol, intervals)
        if kept and _is_fresh(kept[0]):
            return _instrument(symbol, kept[1], kept[0].currency), kept[1], False
        try:
            fetched = self._fetch(exchange, market, _question(intervals, kept[0] if kept else None))
        except ExchangeFailed as error:
            if kept is None:
                raise
            instrument = _instrument(symbol, kept[1], kept[0].currency)
            note = f"These bars could not be brought up to date. {error}"
            return replace(instrument, note=note), kept[1], False
        # When more was missed than is asked for at once the kept bars are dropped: a series has no hole.
        before = kept[1] if kept and not _left_behind(kept[0]) else None
        bars = _joined(before, fetched).last(MOST_BARS)
        if not bars:
            raise ExchangeFailed(f"{exchange} has no ended bars of {market} yet. Ask for a finer interval.")
        self._kept.keep(symbol, bars, currency=fetched.currency)
        changed = before is None or bars.times[-1] > before.times[-1]
        return _instrument(symbol, bars, fetched.currency), bars, changed

    def _fetch(self, exchange: str, market: str, since_ms: dict[str, int]) -> Fetched:
        """Raises ExchangeFailed, at once when the exchange failed a moment ago."""
        key = (exchange, market)
        waited = time.monotonic() - self._failed.get(key, -math.inf)
        if waited < PAUSE_S:
            raise ExchangeFailed(f"{exchange} failed {waited:.0f} s ago; try again in {PAUSE_S - waited:.0f} s.")
        try:
            fetched = self._client.fetch(Request(exchange, market, tuple(since_ms), since_ms, FIRST_BARS))
        except ExchangeFailed:
            self._failed[key] = time.monotonic()
            raise
        self._failed.pop(key, None)
        return fetched


def _question(intervals: Sequence[str], kept: Series | None) -> dict[str, int]:
    """From which millisecond on bars are asked for, by interval, the wanted one first.

    Of a kept series that is what is new since its last bar, that bar included: an exchange may mend it.
    """
    now_ms = int(time.time() * 1000)
    first = {name: now_ms - FIRST_BARS * BY_NAME[name].length // MS for name in intervals}
    return {kept.interval: max(first[kept.interval], kept.last_ns // MS)} if kept else first


def _acceptable(interval: Interval) -> tuple[str, ...]:
    """The interval and finer ones, which are joined: weeks always, as exchanges begin them on different days."""
    longest = DAILY if interval.length == WEEK else interval
    return tuple(each.name for each in reversed(INTERVALS) if each.length <= longest.length)


def _is_fresh(series: Series) -> bool:
    """Whether no later bar can have ended since, or the exchange was asked a moment ago."""
    length = BY_NAME[series.interval].length
    return time.time_ns() < series.last_ns + 2 * length or 0 <= time.time() - series.asked_at < PAUSE_S


def _left_behind(series: Series) -> bool:
    return series.last_ns < time.time_ns() - FIRST_BARS * BY_NAME[series.interval].length


def _joined(before: Bars | None, fetched: Fetched) -> Bars:
    """The kept bars with the fetched ones in place of those of the same time and after them."""
    ended = time.time_ns() - BY_NAME[fetched.interval].length
    rows: dict[int, list[float]] = {}
    if before is not None:
        rows = {moment: figures for moment, *figures in zip(*before.arrays().values(), strict=True)}
    for milliseconds, *figures in fetched.rows:
        moment = int(milliseconds) * MS
        if moment <= ended and _is_bar(figures):
            rows[moment] = figures
    return _bars(BY_NAME[fetched.interval], rows)


def _bars(interval: Interval, rows: dict[int, list[float]]) -> Bars:
    times = array("q", sorted(rows))
    columns = (array("d", (rows[moment][number] for moment in times)) for number in range(5))
    return Bars(interval, times, *columns)


def _is_bar(figures: Iterable[float | None]) -> bool:
    """Exchanges also give empty bars and, in the first days of a market, figures that are none."""
    values = [value for value in figures if isinstance(value, int | float) and math.isfinite(value)]
    if len(values) != 5:
        return False
    opened, high, low, close, volume = values
    return 0 < low <= min(opened, close) and max(opened, close) <= high and volume >= 0


def _instrument(symbol: str, bars: Bars, currency: str | None) -> Instrument:
    exchange, _, market = symbol.partition(":")
    return replace(
        instrument_of(symbol, bars, source=f"{exchange}, fetched by ccxt", currency=currency),
        name=f"{market} at {exchange}",
    )


def _listed(series: Series) -> Instrument:
    exchange, _, market = series.symbol.partition(":")
    show = BY_NAME[series.interval]
    first, last = (show_moment(each) for each in (series.first_ns, series.last_ns))
    if show.length >= DAILY.length:
        first, last = first[:10], last[:10]
    return Instrument(
        series.symbol,
        f"{market} at {exchange}",
        series.currency,
        first,
        last,
        bars=series.bars,
        source=f"{exchange}, fetched by ccxt",
        interval=series.interval,
    )


def open_source(surroundings: Surroundings) -> ExchangeSource:
    return ExchangeSource(surroundings, ExchangeClient())
