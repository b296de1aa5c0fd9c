"""Moments as whole numbers: nanoseconds since 1970 in UTC, which is what numeric libraries count in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY

# 1970-01-01 was a Thursday; weeks begin on Monday, as ISO 8601 and exchanges have it.
FIRST_MONDAY = -3 * DAY

EPOCH_DAY = date(1970, 1, 1).toordinal()

# datetime.fromisoformat also reads week dates, compact forms and fractions of a second; a price file holds none.
ISO_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?:(:\d\d)(?:\.0{1,9})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII)

# What int64 nanoseconds can hold, to whole years.
FIRST_YEAR, LAST_YEAR = 1678, 2261


@dataclass(frozen=True, slots=True)
class Interval:
    """The length of a bar, by the name that users write."""

    name: str
    length: int

    def begin(self, moment: int) -> int:
        """When the bar that holds `moment` begins: bars are aligned to UTC, weeks to Monday."""
        origin = FIRST_MONDAY if self.length == WEEK else 0
        return moment - (moment - origin) % self.length


INTERVALS = tuple(
    Interval(name, length)
    for name, length in (
        ("1m", MINUTE),
        ("5m", 5 * MINUTE),
        ("15m", 15 * MINUTE),
        ("30m", 30 * MINUTE),
        ("1h", HOUR),
        ("4h", 4 * HOUR),
        ("1d", DAY),
        ("1w", WEEK),
    )
)
BY_NAME = {interval.name: interval for interval in INTERVALS}
DAILY = BY_NAME["1d"]


class Written(NamedTuple):
    """A moment as a text has it: `day` is the date that stands there, `moment` None when no time of day does."""

    day: int
    moment: int | None
    zone: bool


def read_written(text: str) -> Written:
    """Read `2024-01-02` or `2024-01-02T09:30[:00][Z|+01:00]`; without a zone it is UTC. Raises ValueError."""
    found = ISO_MOMENT.fullmatch(text)
    if not found:
        raise ValueError(f"{text[:40]!r} is not {'YYYY-MM-DDTHH:MM:SSZ' if ':' in text else 'YYYY-MM-DD'}")
    day, clock, seconds, zone = found.groups()
    try:
        when = datetime.fromisoformat(f"{day}T{clock or '00:00'}{seconds or ':00'}{zone or 'Z'}")
    except ValueError as error:
        raise ValueError(f"{text!r} is not in the calendar") from error
    midnight = _midnight(when.date())
    if clock is None:
        return Written(midnight, None, zone=False)
    offset = when.utcoffset() or timedelta()
    moment = midnight + _since_midnight(when) - int(offset.total_seconds()) * SECOND
    return Written(midnight, moment, zone=zone is not None)


def first_moment(text: str) -> int:
    """The moment that a date or date-time names; a date's is its midnight. Raises ValueError."""
    written = read_written(text)
    return written.day if written.moment is None else written.moment


def past_moment(text: str) -> int:
    """The first moment after a date's whole day or after the date-time itself. Raises ValueError."""
    written = read_written(text)
    return written.day + DAY if written.moment is None else written.moment + 1


def show_date(moment: int) -> str:
    """`2024-01-02`."""
    return date.fromordinal(EPOCH_DAY + moment // DAY).isoformat()


def show_moment(moment: int) -> str:
    """`2024-01-02T09:30:00Z`."""
    when = datetime.fromtimestamp(moment // SECOND, UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _midnight(day: date) -> int:
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError(f"{day.isoformat()!r} is not between {FIRST_YEAR} and {LAST_YEAR}")
    return (day.toordinal() - EPOCH_DAY) * DAY


def _since_midnight(when: datetime) -> int:
    return (when.hour * 3600 + when.minute * 60 + when.second) * SECOND
