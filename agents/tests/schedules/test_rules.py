"""When a task is due, also on the days when the clocks change.

Source: DESIGN section 10; the user's time zone, as their wall clock shows it.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.schedules.rules import DAYS, Rule, next_due, zone_of

ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca",
    "America/Sao_Paulo", "Asia/Tehran",
]  # fmt: skip
RULES = st.builds(Rule, st.sampled_from(["daily", "weekdays"]), st.integers(0, 23), st.integers(0, 59)) | st.builds(
    Rule, st.just("weekly"), st.integers(0, 23), st.integers(0, 59), st.integers(0, 6)
)
MOMENTS = st.datetimes(datetime(2005, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the strategy adds it


def due(rule: Rule, zone: str, after: str) -> str:
    found = next_due(rule, zone=ZoneInfo(zone), after=datetime.fromisoformat(after))
    return found.astimezone(ZoneInfo(zone)).isoformat()


@pytest.mark.parametrize(
    ("rule", "after", "expected"),
    [
        (Rule("daily", 8, 0), "2026-11-26T06:00:00+00:00", "2026-11-26T08:00:00+01:00"),
        (Rule("daily", 8, 0), "2026-11-26T07:00:00+00:00", "2026-11-27T08:00:00+01:00"),
        (Rule("weekdays", 8, 0), "2026-11-27T12:00:00+00:00", "2026-11-30T08:00:00+01:00"),
        (Rule("weekly", 8, 0, 3), "2026-11-26T12:00:00+00:00", "2026-12-03T08:00:00+01:00"),
        # 02:30 does not exist on 29 March 2026: an hour later by the clock, the same moment by the sun.
        (Rule("daily", 2, 30), "2026-03-28T12:00:00+00:00", "2026-03-29T03:30:00+02:00"),
        # 02:30 comes twice on 25 October 2026: once is enough.
        (Rule("daily", 2, 30), "2026-10-24T12:00:00+00:00", "2026-10-25T02:30:00+02:00"),
        (Rule("daily", 2, 30), "2026-10-25T00:30:00+00:00", "2026-10-26T02:30:00+01:00"),
    ],
)
def test_in_berlin_a_task_is_due(rule: Rule, after: str, expected: str) -> None:
    assert due(rule, "Europe/Berlin", after) == expected


def test_a_day_that_a_place_skipped_has_its_task_the_day_after() -> None:
    """Samoa had no 30 December 2011."""
    assert due(Rule("daily", 9, 0), "Pacific/Apia", "2011-12-30T00:00:00+00:00").startswith("2011-12-31T09:00:00")


@given(rule=RULES, zone=st.sampled_from(ZONES), after=MOMENTS)
def test_the_next_time_is_later_on_the_right_day_and_at_the_right_time(rule: Rule, zone: str, after: datetime) -> None:
    found = next_due(rule, zone=ZoneInfo(zone), after=after)
    local = found.astimezone(ZoneInfo(zone))

    assert after < found <= after + timedelta(days=9)
    if (local.hour, local.minute) != (rule.hour, rule.minute):
        # Only because the clocks jumped over it.
        wanted = datetime(local.year, local.month, local.day, rule.hour, rule.minute, tzinfo=ZoneInfo(zone))
        assert wanted.astimezone(UTC).astimezone(ZoneInfo(zone)) != wanted or local.date() != wanted.date()
    elif rule.day is not None:
        assert DAYS[local.weekday()] == DAYS[rule.day]


@given(rule=RULES, zone=st.sampled_from(ZONES), after=MOMENTS)
def test_no_local_day_has_two(rule: Rule, zone: str, after: datetime) -> None:
    first = next_due(rule, zone=ZoneInfo(zone), after=after)
    second = next_due(rule, zone=ZoneInfo(zone), after=first)

    assert second > first
    assert second.astimezone(ZoneInfo(zone)).date() > first.astimezone(ZoneInfo(zone)).date()


@given(rule=RULES, zone=st.sampled_from(ZONES), after=MOMENTS, earlier=st.integers(1, 100_000))
def test_asked_earlier_it_is_no_later(rule: Rule, zone: str, after: datetime, earlier: int) -> None:
    sooner = next_due(rule, zone=ZoneInfo(zone), after=after - timedelta(seconds=earlier))

    assert sooner <= next_due(rule, zone=ZoneInfo(zone), after=after)


@pytest.mark.parametrize("name", ["", None, "Mars/Olympus", "../etc/passwd", "/etc/localtime", "a\0b", "x" * 5000])
def test_what_is_no_time_zone_is_none(name: str | None) -> None:
    assert zone_of(name) is None


def test_no_rule_has_an_impossible_time() -> None:
    for wrong in [("daily", 24, 0, None), ("daily", 0, 60, None), ("weekly", 8, 0, None), ("daily", 8, 0, 1)]:
        with pytest.raises(ValueError, match=r"must be in|weekly"):
            Rule(*wrong)  # type: ignore[arg-type]
