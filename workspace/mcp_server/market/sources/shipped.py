"""The sample set inside this package; SOURCES.md beside the files says where the figures come from."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

from mcp_server.market.bars import Bars
from mcp_server.market.csv_format import parse_bars
from mcp_server.market.instrument import Instrument
from mcp_server.market.source import Surroundings, listed
from mcp_server.market.times import Interval

# What comes with the product answers to its well-known names, whatever the user imports.
PRIORITY = 10

SHIPPED_FOLDER = Path(__file__).parents[1] / "shipped"


class ShippedSource:
    """Files in a folder, described by its instruments.json."""

    def __init__(self, folder: Path = SHIPPED_FOLDER) -> None:
        self._folder = folder
        entries = json.loads((folder / "instruments.json").read_text(encoding="utf-8"))
        self._instruments = tuple(Instrument(**{**entry, "aliases": tuple(entry["aliases"])}) for entry in entries)
        self._bars: dict[str, Bars] = {}

    def instruments(self) -> Sequence[Instrument]:
        return self._instruments

    def find(self, wanted: str, interval: Interval | None) -> tuple[Instrument, Bars] | None:  # noqa: ARG002 - it has one
        instrument = listed(self._instruments, wanted)
        return (instrument, self.bars(instrument.symbol)) if instrument else None

    def bars(self, symbol: str) -> Bars:
        """All bars of a listed instrument."""
        if symbol not in self._bars:
            packed = (self._folder / f"{symbol}.csv.gz").read_bytes()
            self._bars[symbol] = parse_bars(gzip.decompress(packed).decode("utf-8")).bars
        return self._bars[symbol]

    def close(self) -> None:
        self._bars.clear()


def open_source(_surroundings: Surroundings) -> ShippedSource:
    return ShippedSource()
