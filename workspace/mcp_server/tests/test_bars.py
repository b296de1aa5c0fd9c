"""Moments and bars: read, shown, cut and joined."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.errors import CsvRejected
from mcp_server.market.bars import Bar, Bars
from mcp_server.market.csv_format import format_bars, parse_bars
from mcp_server.market.times import (
    BY_NAME,
    INTERVALS,
    MINUTE,
    first_moment,
    past_moment,
    read_written,
    show_date,
    show_moment,
)
from mcp_server.tests.test_csv_format import prices, some_bars

moments = st.datetimes(datetime(1700, 1, 1), datetime(2250, 1, 1)).map(  # noqa: DTZ001 - hypothesis wants naive ones
    lambda when: when.replace(microsecond=0, tzinfo=UTC)
)


@st.composite
def bars_within_days(draw: st.DrawFn) -> Bars:
    """Valid bars at least a minute apart, some of the same day."""
    when = draw(moments)
    steps = draw(st.lists(st.integers(60, 100_000), min_size=2, max_size=30))
    rows = []
    for step in [0, *steps]:
        when += timedelta(seconds=step)
        low, one, other, high = sorted(draw(st.tuples(prices, prices, prices, prices)))
        rows.append(Bar(when.strftime("%Y-%m-%dT%H:%M:%SZ"), one, high, low, other, draw(st.floats(0, 1e12))))
    return parse_bars(format_bars(Bars.of(rows))).bars


def hours(count: int, *, start: str = "2024-01-01T00:00:00Z", step: int = 3600) -> Bars:
    """Bars whose open is their number, high one more, low half of it."""
    first = datetime.fromisoformat(start)
    stamps = [(first + timedelta(seconds=step * number)).strftime("%Y-%m-%dT%H:%M:%SZ") for number in range(count)]
    return Bars.of([Bar(stamp, n + 1, n + 2, (n + 1) / 2, n + 1.5, 10) for n, stamp in enumerate(stamps)])


@given(moments)
def test_a_moment_is_read_as_it_is_shown(when: datetime) -> None:
    text = when.strftime("%Y-%m-%dT%H:%M:%SZ") if when.year > 999 else when.isoformat()
    moment = first_moment(text)

    assert show_moment(moment) == text
    assert moment == round(when.timestamp()) * 10**9
    assert show_date(moment) == when.date().isoformat()


@given(moments, st.integers(-14 * 60, 14 * 60))
def test_an_offset_changes_how_a_moment_is_written_only(when: datetime, offset: int) -> None:
    sign, (hour, minute) = "-" if offset < 0 else "+", divmod(abs(offset), 60)
    local = (when + timedelta(minutes=offset)).strftime("%Y-%m-%d %H:%M:%S")

    written = read_written(f"{local}{sign}{hour:02}:{minute:02}")

    assert written.moment == first_moment(when.strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert show_date(written.day) == local[:10]


@given(st.text())
def test_no_text_does_worse_than_be_no_moment(text: str) -> None:
    for read in (read_written, first_moment, past_moment):
        with suppress(ValueError):
            read(text)


@pytest.mark.parametrize(
    "text", ["2024-W01-1", "20240102", "2024-01-02T9:30", "2024-01-02T09:30:00.5Z", "2024-01-02T25:00", "0001-01-01"]
)
def test_other_forms_of_a_moment_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        read_written(text)


@given(bars_within_days())
def test_bars_within_days_survive_the_way_through_csv_unchanged(bars: Bars) -> None:
    assert parse_bars(format_bars(bars)).bars == bars


@given(st.one_of(some_bars(), bars_within_days()), st.sampled_from(INTERVALS))
def test_joined_bars_hold_the_same_trade(bars: Bars, interval) -> None:  # type: ignore[no-untyped-def]  # of times.py
    if interval.length < bars.interval.length:
        with pytest.raises(ValueError, match="finer"):
            bars.resampled(interval)
        return
    joined = bars.resampled(interval)

    assert (max(joined.high), min(joined.low)) == (max(bars.high), min(bars.low))
    assert (joined.open[0], joined.close[-1]) == (bars.open[0], bars.close[-1])
    assert sum(joined.volume) == pytest.approx(sum(bars.volume))
    if interval != bars.interval:
        assert list(joined.times) == sorted({interval.begin(moment) for moment in bars.times})
    for row in joined.rows():
        assert row.low <= min(row.open, row.close) <= max(row.open, row.close) <= row.high


def test_hours_become_days_and_days_become_weeks() -> None:
    days = hours(48 * 7).resampled(BY_NAME["1d"])

    assert days.rows()[1] == Bar("2024-01-02", 25, 49, 12.5, 48.5, 240)
    weeks = days.resampled(BY_NAME["1w"])
    assert weeks.dates == ("2024-01-01", "2024-01-08")
    assert weeks.rows()[0] == Bar("2024-01-01", 1, 169, 0.5, 168.5, 1680)


def test_a_date_as_the_end_includes_its_day_and_a_moment_itself() -> None:
    bars = hours(48)

    assert bars.between("2024-01-02", "2024-01-02").dates[0::23] == ("2024-01-02T00:00:00Z", "2024-01-02T23:00:00Z")
    assert len(bars.between("2024-01-01T22:00Z", "2024-01-02T01:00Z")) == 4
    assert len(bars.between(None, "2024-01-01")) == 24


@pytest.mark.parametrize(
    ("step", "name"),
    [(60, "1m"), (120, "1m"), (300, "5m"), (1800, "30m"), (7200, "1h"), (86_400, "1d"), (604_800, "1w")],
)
def test_the_interval_is_read_off_the_nearest_two_bars(step: int, name: str) -> None:
    assert hours(5, step=step).interval.name == name


def test_the_digest_tells_bars_apart_and_nothing_else() -> None:
    bars = hours(10)
    same = parse_bars(format_bars(bars)).bars

    assert bars.digest() == same.digest()
    others = [bars[1:], bars[:-1], hours(10, start="2024-01-01T00:01:00Z"), hours(10, step=3601)]
    assert len({each.digest() for each in [bars, *others]}) == 5


def test_columns_are_handed_over_as_they_are() -> None:
    arrays = hours(3).arrays()

    assert list(arrays) == ["time", "open", "high", "low", "close", "volume"]
    assert [column.typecode for column in arrays.values()] == ["q", *"ddddd"]


@pytest.mark.parametrize(
    ("times", "dates", "note"),
    [
        (["2024-03-08T21:00:00Z", "2024-03-11T20:00:00Z"], ["2024-03-08", "2024-03-11"], "its time of day was dropped"),
        (["2024-01-02T00:00:00+09:00", "2024-01-03T00:00:00+09:00"], ["2024-01-02", "2024-01-03"], "was dropped"),
        (["2024-01-02 00:00:00", "2024-01-03 00:00:00"], ["2024-01-02", "2024-01-03"], None),
        (["2024-01-02T09:30", "2024-01-02T10:30"], ["2024-01-02T09:30:00Z", "2024-01-02T10:30:00Z"], "read as UTC"),
        (["2024-01-02T23:30Z", "2024-01-03T00:30Z"], ["2024-01-02T23:30:00Z", "2024-01-03T00:30:00Z"], None),
    ],
)
def test_a_bar_a_day_is_of_the_day_that_is_written(times: list[str], dates: list[str], note: str | None) -> None:
    parsed = parse_bars("\n".join(["date,open,high,low,close", *(f"{time},1,2,0.5,1.5" for time in times)]))

    assert list(parsed.bars.dates) == dates
    assert len(parsed.notes) == (1 if note else 0)
    assert (note or "") in "".join(parsed.notes)


@pytest.mark.parametrize(
    ("times", "complaint"),
    [
        (["2024-01-02", "2024-01-03T10:00Z"], "line 3: some dates have a time of day and some have none"),
        (["2024-01-02T10:00Z", "2024-01-02T11:00+01:00"], "line 3: date 2024-01-02T10:00:00Z stands already on line 2"),
        (["2024-01-02T10:00:00Z", "2024-01-02T10:00:30Z"], "are 30 s apart; the finest are 1m"),
        (
            ["2024-01-02T10:00:00Z", "2024-01-02T10:60:00Z"],
            "line 3: date '2024-01-02T10:60:00Z' is not in the calendar",
        ),
    ],
)
def test_moments_that_make_no_series_are_refused(times: list[str], complaint: str) -> None:
    with pytest.raises(CsvRejected) as caught:
        parse_bars("\n".join(["date,open,high,low,close", *(f"{time},1,2,0.5,1.5" for time in times)]))

    assert complaint in str(caught.value)


def test_weeks_begin_on_monday_before_1970_too() -> None:
    week = BY_NAME["1w"]

    assert show_date(week.begin(first_moment("1969-12-31"))) == "1969-12-29"
    assert week.begin(first_moment("1900-01-07") + MINUTE) == first_moment("1900-01-01")
