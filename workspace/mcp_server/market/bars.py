"""Bars in columns, the one form in which prices travel inside the workspace."""

from __future__ import annotations

import hashlib
import sys
from array import array
from bisect import bisect_left
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from mcp_server.market.times import (
    DAY,
    INTERVALS,
    Interval,
    first_moment,
    past_moment,
    show_date,
    show_moment,
)

PRICES = ("open", "high", "low", "close", "volume")
COLUMNS = ("date", *PRICES)


class Bar(NamedTuple):
    """One bar, prices in the instrument's currency, `volume` in units traded, 0 = unknown.

    `date` is YYYY-MM-DD, for bars within a day the moment they begin, YYYY-MM-DDTHH:MM:SSZ.
    """

    date: str
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars of one instrument, oldest first, each moment once.

    `times` says when each begins, in nanoseconds since 1970 in UTC. Columns are C integers and doubles, so that a
    numeric library reads them without a copy and 10,000 bars take half a megabyte.
    """

    interval: Interval
    times: array[int]
    open: array[float]
    high: array[float]
    low: array[float]
    close: array[float]
    volume: array[float]

    @classmethod
    def of(cls, rows: Sequence[Bar]) -> Bars:
        """Columns of `rows`, which are sorted by date. Raises ValueError for a date that is none."""
        dates, *prices = zip(*rows, strict=True) if rows else ((), (), (), (), (), ())
        times = array("q", map(first_moment, dates))
        return cls(interval_of(times), times, *(array("d", column) for column in prices))

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, part: slice) -> Bars:
        columns = (self.open, self.high, self.low, self.close, self.volume)
        return Bars(self.interval, self.times[part], *(column[part] for column in columns))

    @property
    def dates(self) -> tuple[str, ...]:
        """When each bar begins, as people read it; it is made anew at each call."""
        return tuple(map(self.show, self.times))

    def date(self, index: int) -> str:
        """When the bar at `index` begins, as people read it."""
        return self.show(self.times[index])

    def show(self, moment: int) -> str:
        """A moment as precisely as these bars need it: a date, for bars within a day a date-time."""
        return show_date(moment) if self.interval.length >= DAY else show_moment(moment)

    def rows(self) -> list[Bar]:
        """The same bars, one record each."""
        columns = zip(self.dates, self.open, self.high, self.low, self.close, self.volume, strict=True)
        return [Bar(*row) for row in columns]

    def between(self, start: str | None, end: str | None) -> Bars:
        """Bars that begin from `start` to `end`, both ISO dates or date-times and both included; None leaves open.

        A date as `end` includes its whole day. Raises ValueError for a text that is neither.
        """
        first = 0 if start is None else bisect_left(self.times, first_moment(start))
        past = len(self) if end is None else bisect_left(self.times, past_moment(end))
        return self[first:past]

    def last(self, count: int | None) -> Bars:
        """The newest `count` bars, all of them for None."""
        return self if count is None or count >= len(self) else self[len(self) - count :]

    def at(self, moments: Container[int]) -> Bars:
        """The bars that begin at one of these moments."""
        kept = [index for index, moment in enumerate(self.times) if moment in moments]
        columns = (self.open, self.high, self.low, self.close, self.volume)
        times = array("q", (self.times[index] for index in kept))
        return Bars(self.interval, times, *(array("d", (column[index] for index in kept)) for column in columns))

    def resampled(self, interval: Interval) -> Bars:
        """The same trade in longer bars: first open, highest high, lowest low, last close, sum of volumes.

        Raises ValueError for an interval that is finer than the bars' own.
        """
        if interval.length < self.interval.length:
            raise ValueError(f"{interval.name} is finer than {self.interval.name}")
        if interval == self.interval:
            return self
        edges = _edges([interval.begin(moment) for moment in self.times])
        parts = [slice(*edge) for edge in pairwise(edges)]
        return Bars(
            interval,
            array("q", (interval.begin(self.times[part.start]) for part in parts)),
            array("d", (self.open[part.start] for part in parts)),
            array("d", (max(self.high[part]) for part in parts)),
            array("d", (min(self.low[part]) for part in parts)),
            array("d", (self.close[part.stop - 1] for part in parts)),
            array("d", (sum(self.volume[part]) for part in parts)),
        )

    def arrays(self) -> dict[str, array[int] | array[float]]:
        """The columns by name, `time` first, for handing over to a sandbox job."""
        return {"time": self.times, **{name: getattr(self, name) for name in PRICES}}

    def digest(self) -> str:
        """SHA-256 over the interval and all columns: the same bars have the same digest on any machine."""
        sha = hashlib.sha256(self.interval.name.encode())
        for column in self.arrays().values():
            sha.update(_little_endian(column))
        return sha.hexdigest()


def interval_of(times: Sequence[int]) -> Interval:
    """The longest interval that is no longer than the shortest distance of two bars; a day for a single bar."""
    shortest = min((later - earlier for earlier, later in pairwise(times)), default=DAY)
    return max(
        (each for each in INTERVALS if each.length <= shortest), key=lambda each: each.length, default=INTERVALS[0]
    )


def _edges(begins: Sequence[int]) -> list[int]:
    """Where a new value stands in `begins`, and its length at the end."""
    changes: Iterable[int] = (index for index in range(1, len(begins)) if begins[index] != begins[index - 1])
    return [0, *changes, len(begins)] if begins else []


def _little_endian(column: array[int] | array[float]) -> bytes:
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column.tobytes()
