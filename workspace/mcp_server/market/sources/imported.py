"""What the user imported, kept in the workspace's database."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict

from mcp_server.market.bars import Bars
from mcp_server.market.csv_format import format_bars, parse_bars
from mcp_server.market.instrument import Instrument, instrument_of
from mcp_server.market.source import Surroundings
from mcp_server.market.times import Interval
from mcp_server.storage.database import Database

PRIORITY = 20

# Level 6 halves the time of level 9 for 2 % more bytes on such files.
COMPRESSION = 6

# Reading 100,000 bars takes most of a second, so the series used last stay read: 8 of the largest are 38 MB.
MOST_READ = 8


class ImportedSource:
    """The user's own series, each whole."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._read: OrderedDict[bytes, Bars] = OrderedDict()
        self._lock = threading.Lock()
        # One at a time: to read the largest takes 60 MB.
        self._reading = threading.Lock()

    def instruments(self) -> Sequence[Instrument]:
        with self._database.reading() as connection:
            found = connection.execute("SELECT instrument FROM imported_bars ORDER BY symbol").fetchall()
        return tuple(Instrument(**{**json.loads(row[0]), "aliases": ()}) for row in found)

    def find(self, wanted: str, interval: Interval | None) -> tuple[Instrument, Bars] | None:  # noqa: ARG002 - it has one
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT instrument, csv_gz FROM imported_bars WHERE symbol = ? COLLATE NOCASE", (wanted,)
            ).fetchone()
        return (Instrument(**{**json.loads(row[0]), "aliases": ()}), self._unpacked(row[1])) if row else None

    def save(self, symbol: str, bars: Bars) -> Instrument:
        """Keep `bars` as the whole series of `symbol`, in place of an earlier one."""
        instrument = instrument_of(symbol, bars, source="imported by the user")
        packed = gzip.compress(format_bars(bars).encode("utf-8"), COMPRESSION, mtime=0)
        with self._database.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO imported_bars (symbol, instrument, csv_gz) VALUES (?, ?, ?)",
                (symbol, json.dumps(asdict(instrument)), packed),
            )
        return instrument

    def close(self) -> None:
        self._read.clear()

    def _unpacked(self, packed: bytes) -> Bars:
        """The bars of a stored file, known by its content: whoever replaces the row need not tell."""
        key = hashlib.sha256(packed).digest()
        known = self._known(key)
        if known is not None:
            return known
        with self._reading:
            known = self._known(key)
            if known is not None:
                return known
            bars = parse_bars(gzip.decompress(packed).decode("utf-8")).bars
            with self._lock:
                self._read[key] = bars
                while len(self._read) > MOST_READ:
                    self._read.popitem(last=False)
        return bars

    def _known(self, key: bytes) -> Bars | None:
        with self._lock:
            if key in self._read:
                self._read.move_to_end(key)
            return self._read.get(key)


def open_source(surroundings: Surroundings) -> ImportedSource:
    return ImportedSource(surroundings.database)
