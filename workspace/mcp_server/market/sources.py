"""Where bars come from. A source lists its instruments and gives their bars; the catalogue finds one by name."""

from __future__ import annotations

import difflib
import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from mcp_server.errors import SymbolTaken, UnknownSymbol
from mcp_server.market.bars import Bars
from mcp_server.market.csv_format import format_bars, parse_bars
from mcp_server.storage.database import Database

SHIPPED_FOLDER = Path(__file__).with_name("shipped")

# Level 6 halves the time of level 9 for 2 % more bytes on these files.
COMPRESSION = 6


@dataclass(frozen=True, slots=True)
class Instrument:
    """Something with daily bars, `bars` of them from `first` to `last` (ISO dates); `source` is who gave them."""

    symbol: str
    name: str
    currency: str | None
    first: str
    last: str
    bars: int
    source: str
    aliases: tuple[str, ...] = ()

    def answers_to(self, wanted: str) -> bool:
        """Whether `wanted`, in any case, is the symbol, the name or another name."""
        return wanted.casefold() in {text.casefold() for text in (self.symbol, self.name, *self.aliases)}


class Source(Protocol):
    """A place that has bars."""

    def instruments(self) -> Sequence[Instrument]:
        """All that it has, by symbol."""

    def bars(self, symbol: str) -> Bars:
        """All bars of an instrument that it lists. Raises UnknownSymbol."""


class ShippedSource:
    """The sample set inside this package; SOURCES.md beside the files says where the figures come from."""

    def __init__(self, folder: Path = SHIPPED_FOLDER) -> None:
        self._folder = folder
        entries = json.loads((folder / "instruments.json").read_text(encoding="utf-8"))
        self._instruments = tuple(Instrument(**{**entry, "aliases": tuple(entry["aliases"])}) for entry in entries)
        self._bars: dict[str, Bars] = {}

    def instruments(self) -> Sequence[Instrument]:
        return self._instruments

    def bars(self, symbol: str) -> Bars:
        if symbol not in {instrument.symbol for instrument in self._instruments}:
            raise UnknownSymbol
        if symbol not in self._bars:
            packed = (self._folder / f"{symbol}.csv.gz").read_bytes()
            self._bars[symbol] = parse_bars(gzip.decompress(packed).decode("utf-8")).bars
        return self._bars[symbol]


class ImportedSource:
    """What the user imported, kept in the workspace's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def instruments(self) -> Sequence[Instrument]:
        with self._database.reading() as connection:
            found = connection.execute("SELECT instrument FROM imported_bars ORDER BY symbol").fetchall()
        return tuple(Instrument(**{**json.loads(row[0]), "aliases": ()}) for row in found)

    def bars(self, symbol: str) -> Bars:
        with self._database.reading() as connection:
            row = connection.execute("SELECT csv_gz FROM imported_bars WHERE symbol = ?", (symbol,)).fetchone()
        if row is None:
            raise UnknownSymbol
        return parse_bars(gzip.decompress(row[0]).decode("utf-8")).bars

    def save(self, symbol: str, bars: Bars) -> Instrument:
        """Keep `bars` as the whole series of `symbol`, in place of an earlier one."""
        instrument = Instrument(
            symbol=symbol,
            name=symbol,
            currency=None,
            first=bars.dates[0],
            last=bars.dates[-1],
            bars=len(bars),
            source="imported by the user",
        )
        packed = gzip.compress(format_bars(bars).encode("utf-8"), COMPRESSION, mtime=0)
        with self._database.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO imported_bars (symbol, instrument, csv_gz) VALUES (?, ?, ?)",
                (symbol, json.dumps(asdict(instrument)), packed),
            )
        return instrument


class Catalogue:
    """All instruments of the workspace: the shipped ones first, then the user's own."""

    def __init__(self, shipped: Source, imported: ImportedSource) -> None:
        self._shipped = shipped
        self._imported = imported

    def instruments(self) -> list[Instrument]:
        return [*self._shipped.instruments(), *self._imported.instruments()]

    def find(self, wanted: str) -> tuple[Instrument, Bars]:
        """The instrument that answers to this symbol or name, with all its bars. Raises UnknownSymbol."""
        for source in (self._shipped, self._imported):
            for instrument in source.instruments():
                if instrument.answers_to(wanted.strip()):
                    return instrument, source.bars(instrument.symbol)
        raise UnknownSymbol(_not_found(wanted, self.instruments()))

    def save(self, symbol: str, bars: Bars) -> Instrument:
        """Import bars under the user's own symbol. Raises SymbolTaken for one that is shipped."""
        if any(instrument.answers_to(symbol) for instrument in self._shipped.instruments()):
            raise SymbolTaken(
                f"{symbol} is shipped with the workspace and stays as it is. Import as MY.{symbol} instead."
            )
        return self._imported.save(symbol, bars)


def _not_found(wanted: str, instruments: Iterable[Instrument]) -> str:
    known = [instrument.symbol for instrument in instruments]
    close = difflib.get_close_matches(wanted.upper(), known, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    shown = ", ".join(known[:20])
    return f"No instrument {wanted[:40]!r}.{hint} There are: {shown}. Import others with import_bars(symbol, csv)."
