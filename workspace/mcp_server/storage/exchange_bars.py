"""Bars fetched from exchanges, kept so that they are fetched once. A cache: what is lost is fetched again."""

from __future__ import annotations

import time
import zlib
from array import array
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from mcp_server.market.bars import Bars
from mcp_server.market.times import BY_NAME
from mcp_server.storage.database import Database

# Some 400 series of 2,000 bars; what was not used for the longest time leaves first.
MOST_BYTES = 16 * 1024 * 1024

USE_NOTED_S = 3600

# Prices hardly shrink further at higher levels.
COMPRESSION = 1


@dataclass(frozen=True, slots=True)
class Series:
    """A kept series: when the exchange was last asked for it, and the bars as far as they were asked for."""

    symbol: str
    interval: str
    currency: str | None
    bars: int
    first_ns: int
    last_ns: int
    asked_at: float
    used_at: float


class ExchangeBars:
    """The kept series, by symbol and interval."""

    def __init__(self, database: Database, *, most_bytes: int = MOST_BYTES) -> None:
        self._database = database
        self._most_bytes = most_bytes

    def same_file(self) -> AbstractContextManager[None]:
        """As the database's."""
        return self._database.same_file()

    def all(self) -> list[Series]:
        """What is kept, by symbol."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT symbol, interval, currency, bars, first_ns, last_ns, asked_at, used_at FROM exchange_bars "
                "ORDER BY symbol, interval"
            ).fetchall()
        return [Series(*row) for row in rows]

    def find(self, symbol: str, intervals: Sequence[str]) -> tuple[Series, Bars] | None:
        """The kept series in the first of these intervals that there is."""
        for interval in intervals:
            with self._database.reading() as connection:
                row = connection.execute(
                    "SELECT symbol, interval, currency, bars, first_ns, last_ns, asked_at, used_at, packed FROM exchange_bars "
                    "WHERE symbol = ? AND interval = ?",
                    (symbol, interval),
                ).fetchone()
            if row is not None:
                self._note_use(Series(*row[:8]))
                return Series(*row[:8]), _unpacked(interval, row[8])
        return None

    def keep(self, symbol: str, bars: Bars, *, currency: str | None) -> None:
        """Keep a series in place of an earlier one, and make room for it."""
        now = time.time()
        with self._database.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO exchange_bars VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(symbol, bars.interval.name, currency, len(bars)),
                    *(bars.times[0], bars.times[-1], now, now, _packed(bars)),
                ),
            )
            connection.execute(
                "DELETE FROM exchange_bars WHERE rowid IN (SELECT rowid FROM (SELECT rowid, "
                "SUM(LENGTH(packed)) OVER (ORDER BY used_at DESC, rowid DESC) AS total FROM exchange_bars) WHERE total > ?)",
                (self._most_bytes,),
            )

    def _note_use(self, series: Series) -> None:
        # A write waits for the disk, and reads are many: to the hour is enough to tell what is no longer used.
        if time.time() - series.used_at > USE_NOTED_S:
            with self._database.writing() as connection:
                connection.execute(
                    "UPDATE exchange_bars SET used_at = ? WHERE symbol = ? AND interval = ?",
                    (time.time(), series.symbol, series.interval),
                )


def _packed(bars: Bars) -> bytes:
    return zlib.compress(b"".join(column.tobytes() for column in bars.arrays().values()), COMPRESSION)


def _unpacked(interval: str, packed: bytes) -> Bars:
    raw = zlib.decompress(packed)
    size = len(raw) // 6
    columns = (array("d", raw[number * size : (number + 1) * size]) for number in range(1, 6))
    return Bars(BY_NAME[interval], array("q", raw[:size]), *columns)
