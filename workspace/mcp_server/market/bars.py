"""Daily bars in columns, the one form in which prices travel inside the workspace."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import NamedTuple

COLUMNS = ("date", "open", "high", "low", "close", "volume")


class Bar(NamedTuple):
    """One day. `date` is YYYY-MM-DD, prices are in the instrument's currency, `volume` in units traded, 0 = unknown."""

    date: str
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars of one instrument, oldest first, each date once.

    Columns are C doubles, so that a numeric library reads them without a copy and 10,000 bars take half a megabyte.
    """

    dates: tuple[str, ...]
    open: array[float]
    high: array[float]
    low: array[float]
    close: array[float]
    volume: array[float]

    @classmethod
    def of(cls, rows: list[Bar]) -> Bars:
        """Columns of `rows`, which are sorted by date."""
        dates, *prices = zip(*rows, strict=True) if rows else ((), (), (), (), (), ())
        return cls(tuple(dates), *(array("d", column) for column in prices))

    def __len__(self) -> int:
        return len(self.dates)

    def __getitem__(self, part: slice) -> Bars:
        return Bars(
            self.dates[part], self.open[part], self.high[part], self.low[part], self.close[part], self.volume[part]
        )

    def rows(self) -> list[Bar]:
        """The same bars, one record each."""
        columns = zip(self.dates, self.open, self.high, self.low, self.close, self.volume, strict=True)
        return [Bar(*row) for row in columns]

    def between(self, start: str | None, end: str | None) -> Bars:
        """Bars from `start` to `end`, both ISO dates and both included; None leaves that side open."""
        first = 0 if start is None else bisect_left(self.dates, start)
        past = len(self) if end is None else bisect_right(self.dates, end)
        return self[first:past]

    def last(self, count: int | None) -> Bars:
        """The newest `count` bars, all of them for None."""
        return self if count is None or count >= len(self) else self[len(self) - count :]
