"""When a task is due. Pure: wall clock times of a time zone, as moments."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

Every = Literal["daily", "weekdays", "weekly"]
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
WEEKEND = {5, 6}


@dataclass(frozen=True, slots=True)
class Rule:
    """A time of day, daily, on Monday to Friday, or on one `day` of the week (0 = Monday)."""

    every: Every
    hour: int
    minute: int
    day: int | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for what is no time."""
        time(self.hour, self.minute)
        if (self.every == "weekly") != (self.day is not None) or self.day not in {None, *range(7)}:
            raise ValueError("A weekly rule has a day, and no other has.")

    def falls_on(self, day: date) -> bool:
        """Whether the rule has a time on that date."""
        if self.every == "weekly":
            return day.weekday() == self.day
        return self.every == "daily" or day.weekday() not in WEEKEND

    def words(self) -> str:
        """The rule as a person types it."""
        day = f" {DAYS[self.day]}" if self.day is not None else ""
        return f"{self.every}{day} {self.hour:02}:{self.minute:02}"

    def payload(self) -> dict[str, Any]:
        """The rule as JSON; see rule_of."""
        return {"every": self.every, "hour": self.hour, "minute": self.minute, "day": self.day}


def rule_of(payload: dict[str, Any]) -> Rule:
    """The rule that `payload` wrote."""
    return Rule(**payload)


def next_due(rule: Rule, *, zone: ZoneInfo, after: datetime) -> datetime:
    """The first moment of the rule that comes after `after`, in UTC.

    A time that the clocks jump over comes as much later as they jump; one that they show twice comes the first time.
    """
    day = after.astimezone(zone).date() - timedelta(days=1)
    while True:
        if rule.falls_on(day):
            # PEP 495: with fold=0 a time in a gap is read by the offset before it, one in a fold as the earlier.
            moment = datetime(day.year, day.month, day.day, rule.hour, rule.minute, tzinfo=zone).astimezone(UTC)
            if moment > after:
                return moment
        day += timedelta(days=1)


def zone_of(name: str | None) -> ZoneInfo | None:
    """The time zone of an IANA name; None for what is none."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
