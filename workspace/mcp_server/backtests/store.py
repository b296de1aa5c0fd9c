"""Finished backtests in the user's file. Only so many are kept: the oldest that nobody pinned make room."""

from __future__ import annotations

import json
import sqlite3
import zlib
from array import array
from dataclasses import dataclass, field
from typing import Any

from mcp_server.errors import UnknownBacktest
from mcp_server.storage.database import Database, timestamp
from mcp_server.storage.quota import MIB

# A chart of 60 KB, a curve and a list of trades; the largest are a few times as much.
RECORD_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept; the bytes are a tenth of the smallest disk that a tier has."""

    backtests: int = 300
    size_bytes: int = 100 * MIB


@dataclass(frozen=True, slots=True)
class Record:
    """A finished backtest or sweep: `summary` is what is told of it, as plain JSON."""

    id: str
    strategy: str
    version: int
    summary: dict[str, Any]
    trades: list[dict[str, Any]] = field(default_factory=list)
    equity: array[float] = field(default_factory=lambda: array("d"))
    chart: bytes | None = None


class Backtests:
    """The store."""

    def __init__(self, database: Database, bounds: Bounds | None = None) -> None:
        self._database = database
        self._bounds = bounds or Bounds()

    def find(self, id: str) -> Record:  # noqa: A002 - that is its name
        """The whole record. Raises UnknownBacktest."""
        row = self._read(id, "id, strategy, version, summary, trades_z, equity_z, chart_png")
        identity, strategy, version, summary, trades, equity, chart = row
        curve: array[float] = array("d")
        curve.frombytes(zlib.decompress(equity))
        return Record(
            identity, strategy, version, json.loads(summary), json.loads(zlib.decompress(trades)), curve, chart
        )

    def summary(self, id: str) -> dict[str, Any]:  # noqa: A002 - that is its name
        """What is told of it. Raises UnknownBacktest."""
        summary: dict[str, Any] = json.loads(self._read(id, "summary")[0])
        return summary

    def chart(self, id: str) -> bytes:  # noqa: A002 - that is its name
        """Its picture as PNG. Raises UnknownBacktest, also for a sweep."""
        chart: bytes | None = self._read(id, "chart_png")[0]
        if chart is None:
            raise UnknownBacktest(f"{id[:40]} is a sweep, which has no chart. Run a backtest of one of its sets.")
        return chart

    def trades(self, id: str) -> list[dict[str, Any]]:  # noqa: A002 - that is its name
        """Its round trips, oldest first. Raises UnknownBacktest."""
        trades: list[dict[str, Any]] = json.loads(zlib.decompress(self._read(id, "trades_z")[0]))
        return trades

    def has(self, id: str, *, strategy: str, version: int) -> bool:  # noqa: A002 - that is its name
        """Whether it is stored under this strategy's name."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT 1 FROM backtests WHERE id = ? AND strategy = ? AND version = ?", (id, strategy, version)
            ).fetchone()
        return row is not None

    def expect_room(self) -> None:
        """Raise StorageFull before a record is computed that there would be no room for."""
        self._database.expect_room(RECORD_BYTES)

    def keep(self, record: Record) -> None:
        """Store the record, in place of one with its id; what is over the bounds is dropped, oldest first."""
        trades = zlib.compress(json.dumps(record.trades, separators=(",", ":")).encode())
        equity = zlib.compress(record.equity.tobytes())
        summary = json.dumps(record.summary, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(trades) + len(equity) + len(summary) + len(record.chart or b"")
        with self._database.writing() as connection:
            connection.execute(
                "INSERT INTO backtests (id, strategy, version, created_at, size_bytes, summary, trades_z, equity_z, chart_png)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET strategy = excluded.strategy, version = excluded.version,"
                " size_bytes = excluded.size_bytes, summary = excluded.summary, trades_z = excluded.trades_z,"
                " equity_z = excluded.equity_z, chart_png = excluded.chart_png",
                (
                    record.id,
                    record.strategy,
                    record.version,
                    timestamp(),
                    size,
                    summary,
                    trades,
                    equity,
                    record.chart,
                ),
            )
            _make_room(connection, record.id, self._bounds)

    def pin(self, id: str) -> None:  # noqa: A002 - that is its name
        """Keep it however many come after, because something relies on it. Raises UnknownBacktest."""
        with self._database.writing() as connection:
            if not connection.execute("UPDATE backtests SET pinned = 1 WHERE id = ?", (id,)).rowcount:
                raise _unknown(id)

    def _read(self, identity: str, columns: str) -> tuple[Any, ...]:
        with self._database.reading() as connection:
            row: tuple[Any, ...] | None = connection.execute(
                f"SELECT {columns} FROM backtests WHERE id = ?", (identity.strip(),)
            ).fetchone()
        if row is None:
            raise _unknown(identity)
        return row


def _make_room(connection: sqlite3.Connection, newest: str, bounds: Bounds) -> None:
    """Drop what is past the bounds, counted from the newest back; pinned ones count and stay."""
    connection.execute(
        "DELETE FROM backtests WHERE NOT pinned AND id != ? AND position IN (SELECT position FROM (SELECT position,"
        " row_number() OVER latest AS place, sum(size_bytes) OVER latest AS size FROM backtests"
        " WINDOW latest AS (ORDER BY pinned DESC, position DESC)) WHERE place > ? OR size > ?)",
        (newest, bounds.backtests, bounds.size_bytes),
    )


def _unknown(identity: str) -> UnknownBacktest:
    return UnknownBacktest(
        f"No backtest {identity[:40]!r}. Ids come from run_backtest and sweep_strategy; the oldest are dropped. "
        "Run it again: the same input gives the same id."
    )
