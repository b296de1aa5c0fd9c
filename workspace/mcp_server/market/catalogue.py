"""All instruments of the workspace, whichever source has them."""

from __future__ import annotations

import difflib
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable

from mcp_server.errors import BadInterval, FutureBars, SymbolTaken, UnknownSymbol
from mcp_server.market.bars import Bars
from mcp_server.market.instrument import Instrument
from mcp_server.market.source import Source, Surroundings
from mcp_server.market.sources import open_sources
from mcp_server.market.sources.imported import ImportedSource
from mcp_server.market.times import BY_NAME, DAY, INTERVALS
from mcp_server.storage.database import Database

Listener = Callable[[str], None]


class Catalogue:
    """Every source in `sources/`: finds instruments, the first source first, and keeps what the user imports."""

    def __init__(self, database: Database) -> None:
        self._listeners: list[Listener] = []
        sources = open_sources(Surroundings(database, self.announce))
        imported = sources["imported"]
        if not isinstance(imported, ImportedSource):
            raise TypeError("sources/imported.py must open an ImportedSource: imports are kept there")
        self._sources: tuple[Source, ...] = tuple(sources.values())
        self._imported = imported

    def instruments(self) -> list[Instrument]:
        return [instrument for source in self._sources for instrument in source.instruments()]

    def find(self, wanted: str, interval: str | None = None) -> tuple[Instrument, Bars]:
        """The instrument that answers to this symbol or name, with all its bars, in its own interval for None.

        Raises UnknownSymbol, BadInterval for one that is finer than the bars.
        """
        length = BY_NAME[interval] if interval else None
        for source in self._sources:
            found = source.find(wanted.strip(), length)
            if found:
                instrument, bars = found
                return instrument, resample(instrument, bars, interval)
        raise UnknownSymbol(_not_found(wanted, self.instruments()))

    def save(self, symbol: str, bars: Bars) -> Instrument:
        """Import bars under the user's own symbol, on disk when it returns; listeners are then told.

        Raises SymbolTaken for a symbol that another source answers to, FutureBars for bars dated after tomorrow.
        """
        _check_dates(symbol, bars)
        for source in self._sources:
            if source is not self._imported and any(each.answers_to(symbol) for each in source.instruments()):
                raise SymbolTaken(
                    f"{symbol} is shipped with the workspace and stays as it is. Import as MY.{symbol} instead."
                )
        instrument = self._imported.save(symbol, bars)
        self.announce(symbol)
        return instrument

    def on_new_bars(self, listener: Listener) -> None:
        """Have `listener` called with the symbol whenever an instrument's bars have changed, on the changing thread.

        It must be quick and raise nothing: the change is already on disk.
        """
        self._listeners.append(listener)

    def announce(self, symbol: str) -> None:
        """Tell the listeners that this instrument has new bars."""
        for listener in self._listeners:
            listener(symbol)

    def close(self) -> None:
        """Let go of what the sources hold."""
        for source in self._sources:
            source.close()


def resample(instrument: Instrument, bars: Bars, interval: str | None) -> Bars:
    """The bars in another interval, in their own for None. Raises BadInterval for one that is finer."""
    if interval is None:
        return bars
    wanted, own = BY_NAME[interval], bars.interval
    if wanted.length < own.length:
        there = ", ".join(each.name for each in INTERVALS if each.length >= own.length)
        raise BadInterval(
            f"{instrument.symbol} has bars of {own.name}, {interval} is finer. Ask for {there}, or import finer bars."
        )
    return bars.resampled(wanted)


def _check_dates(symbol: str, bars: Bars) -> None:
    """Tomorrow it is already somewhere, and a bar may be named by its end."""
    known = bisect_left(bars.times, time.time_ns() // DAY * DAY + 2 * DAY)
    if known < len(bars):
        raise FutureBars(
            f"{len(bars) - known} of the {len(bars)} bars of {symbol} are dated after tomorrow, the first {bars.date(known)}: "
            "nothing was imported. Mend the dates or leave those bars out; take care which of day and month stands first."
        )


def _not_found(wanted: str, instruments: Iterable[Instrument]) -> str:
    known = [instrument.symbol for instrument in instruments]
    close = difflib.get_close_matches(wanted.upper(), known, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    shown = ", ".join(known[:20])
    return (
        f"No instrument {wanted[:40]!r}.{hint} There are: {shown}. Others come from a CSV file of their bars (import_bars), "
        "or by the name of an exchange's market, e.g. 'binance:BTC/USDT'."
    )
