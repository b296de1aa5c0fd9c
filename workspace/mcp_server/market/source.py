"""What a source of bars is: one file in `sources/`, which lists its instruments and gives their bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mcp_server.market.bars import Bars
from mcp_server.market.instrument import Instrument
from mcp_server.market.times import Interval
from mcp_server.storage.database import Database


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a source may work with: the user's file, and whom to tell the symbol whose bars have changed."""

    database: Database
    announce: Callable[[str], None]


class Source(Protocol):
    """A place that has bars."""

    def instruments(self) -> Sequence[Instrument]:
        """All that it has now, by symbol."""

    def find(self, wanted: str, interval: Interval | None) -> tuple[Instrument, Bars] | None:
        """The instrument that answers to a symbol or name, with all its bars; None when this source has none such.

        A source that has bars of several intervals gives those of `interval`, or finer ones; another ignores it. Raises
        WorkspaceError when the symbol is this source's and its bars can't be had.
        """

    def close(self) -> None:
        """Let go of what it holds."""


def listed(instruments: Sequence[Instrument], wanted: str) -> Instrument | None:
    """The instrument among these that answers to `wanted`."""
    return next((instrument for instrument in instruments if instrument.answers_to(wanted)), None)
