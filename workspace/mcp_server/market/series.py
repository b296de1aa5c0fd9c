"""Rows of an uploaded file become bars: the rules that hold whatever the file's format."""

from __future__ import annotations

from array import array
from itertools import pairwise

from mcp_server.errors import BarsRejected
from mcp_server.market.bars import Bars, interval_of
from mcp_server.market.times import DAY, HOUR, MINUTE, SECOND, Written, show_date, show_moment

# Days stamped with their close come nearer where clocks change or the exchange closes early; bars within a day never do.
SHORTEST_DAY = 20 * HOUR

Figures = tuple[float, ...]


class Series:
    """Rows as they come, each checked when it is added; `bars` then puts them in order.

    `rejected` is the error of the file's format; it names rows as that format counts them.
    """

    def __init__(self, rejected: type[BarsRejected]) -> None:
        self._rejected = rejected
        self._rows: list[tuple[Written, Figures]] = []
        self._row_of: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: int, written: Written, figures: Figures) -> None:
        """Add finite open, high, low, close and volume of one moment. Raises BarsRejected."""
        wrong = _wrong_figures(figures)
        if wrong:
            raise self._rejected(wrong, at=row)
        if self._rows and (written.moment is None) != (self._rows[0][0].moment is None):
            raise self._rejected("some dates have a time of day and some have none", at=row)
        moment = written.day if written.moment is None else written.moment
        if moment in self._row_of:
            shown = show_date(moment) if written.moment is None else show_moment(moment)
            earlier = f"{self._rejected.unit} {self._row_of[moment]}"
            raise self._rejected(f"date {shown} stands already on {earlier}", at=row)
        self._row_of[moment] = row
        self._rows.append((written, figures))

    def bars(self) -> tuple[Bars, list[str]]:
        """The bars, and notes on how they were read. Raises BarsRejected when there are none or they are too close."""
        if not self._rows:
            raise self._rejected("no bars below the heading")
        times, notes = self._times()
        if any(later < earlier for earlier, later in pairwise(times)):
            notes.append("The rows were not in order of date; they were sorted.")
        order = sorted(range(len(times)), key=times.__getitem__)
        stamps = array("q", (times[index] for index in order))
        self._check_distances(stamps)
        columns = zip(*(self._rows[index][1] for index in order), strict=True)
        return Bars(interval_of(stamps), stamps, *(array("d", column) for column in columns)), notes

    def _times(self) -> tuple[list[int], list[str]]:
        """One bar a day belongs to the day that is written, whatever its time of day and zone say."""
        days = [written.day for written, _ in self._rows]
        moments = [written.moment for written, _ in self._rows if written.moment is not None]
        if not moments:
            return days, []
        if len(set(days)) == len(days) and _shortest(moments) >= SHORTEST_DAY:
            return days, [] if moments == days else ["There is one bar a day; its time of day was dropped."]
        zoneless = not any(written.zone for written, _ in self._rows)
        return moments, ["The times name no zone; they were read as UTC."] if zoneless else []

    def _check_distances(self, times: array[int]) -> None:
        for earlier, later in pairwise(times):
            if later - earlier < MINUTE:
                apart = (later - earlier) // SECOND
                first, second = show_moment(earlier), show_moment(later)
                raise self._rejected(f"the bars at {first} and {second} are {apart} s apart; the finest are 1m")


def _wrong_figures(figures: Figures) -> str | None:
    opened, high, low, close, volume = figures
    for name, price in zip(("open", "high", "low", "close"), figures, strict=False):
        if price <= 0:
            return f"{name} {price} is not above 0"
    if not low <= min(opened, close) or not high >= max(opened, close):
        return f"low {low} and high {high} don't enclose open {opened} and close {close}"
    return f"volume {volume} is below 0" if volume < 0 else None


def _shortest(moments: list[int]) -> int:
    return min((later - earlier for earlier, later in pairwise(sorted(moments))), default=DAY)
