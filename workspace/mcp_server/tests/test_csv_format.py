"""CSV text becomes bars or a named error, whatever it holds."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.errors import CsvRejected
from mcp_server.market.bars import Bar, Bars
from mcp_server.market.csv_format import format_bars, parse_bars

HEADING = "date,open,high,low,close,volume"
GOOD = ["2024-01-02", "10", "12", "9", "11", "1000"]

prices = st.floats(min_value=1e-9, max_value=1e12)


@st.composite
def some_bars(draw: st.DrawFn) -> Bars:
    """Valid bars on rising dates."""
    steps = draw(st.lists(st.integers(1, 400), min_size=1, max_size=30))
    day, rows = date(1990, 1, 1), []
    for step in steps:
        day += timedelta(days=step)
        low, one, other, high = sorted(draw(st.tuples(prices, prices, prices, prices)))
        rows.append(Bar(day.isoformat(), one, high, low, other, draw(st.floats(0, 1e15))))
    return Bars.of(rows)


def text_of(*rows: list[str]) -> str:
    return "\n".join([HEADING, *(",".join(row) for row in rows)])


def changed(column: str, value: str) -> list[str]:
    return [value if name == column else cell for name, cell in zip(HEADING.split(","), GOOD, strict=True)]


@given(some_bars())
def test_bars_survive_the_way_through_csv_unchanged(bars: Bars) -> None:
    assert parse_bars(format_bars(bars)).bars == bars


@given(some_bars(), st.randoms())
def test_rows_in_any_order_give_the_same_bars_and_a_note(bars: Bars, chance: object) -> None:
    heading, *rows = format_bars(bars).splitlines()
    chance.shuffle(rows)  # type: ignore[attr-defined]  # hypothesis gives a random.Random

    parsed = parse_bars("\n".join([heading, *rows]))

    assert parsed.bars == bars
    in_order = rows == sorted(rows)
    assert parsed.notes == (() if in_order else ("The rows were not in order of date; they were sorted.",))


@given(st.text())
def test_no_text_does_worse_than_be_rejected(text: str) -> None:
    with suppress(CsvRejected):
        parse_bars(text)


@given(st.text(), st.sampled_from(HEADING.split(",")))
def test_no_cell_does_worse_than_be_rejected(cell: str, column: str) -> None:
    with suppress(CsvRejected):
        (bar,) = parse_bars(text_of(changed(column, cell))).bars.rows()

        assert 0 < bar.low <= bar.high < float("inf")


@pytest.mark.parametrize(
    ("column", "value", "complaint"),
    [
        ("close", "nan", "close 'nan' is not a finite number"),
        ("close", "inf", "close 'inf' is not a finite number"),
        ("close", "1e999", "close '1e999' is not a finite number"),
        ("close", "1_1", "close '1_1' is not a finite number"),
        ("close", "١١", "close '١١' is not a finite number"),
        ("close", "", "close '' is not a finite number"),
        ("open", "-3", "open -3.0 is not above 0"),
        ("open", "0", "open 0.0 is not above 0"),
        ("volume", "-1", "volume -1.0 is below 0"),
        ("high", "10.5", "low 9.0 and high 10.5 don't enclose open 10.0 and close 11.0"),
        ("date", "2/1/2024", "date '2/1/2024' is not YYYY-MM-DD"),
        ("date", "20240102", "date '20240102' is not YYYY-MM-DD"),
        ("date", "2024-02-30", "date '2024-02-30' is not in the calendar"),
        ("date", "2024-01-01", "date 2024-01-01 stands already on line 2"),
    ],
)
def test_a_bad_cell_is_named_with_its_line(column: str, value: str, complaint: str) -> None:
    first = ["2024-01-01", *GOOD[1:]]

    with pytest.raises(CsvRejected) as caught:
        parse_bars(text_of(first, changed(column, value)))

    assert str(caught.value) == f"line 3: {complaint}"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line 1: the heading lacks date, open, high, low, close"),
        ("date;open;high;low;close\n2024-01-02;1;1;1;1", "line 1: the heading lacks"),
        ("date,open,high,low,close,close\n", "line 1: the heading names close twice"),
        (HEADING, "no bars below the heading"),
        (f"{HEADING}\n2024-01-02,1,1", "line 2: 3 cells, the heading has 6"),
        (f'{HEADING}\n"2024-01-02,1,1,1,1,1', "line 2: not CSV"),
    ],
)
def test_a_malformed_file_says_what_it_lacks(text: str, complaint: str) -> None:
    with pytest.raises(CsvRejected, match=f"^{complaint}"):
        parse_bars(text)


def test_headings_in_any_case_and_order_with_more_columns_are_read() -> None:
    text = "\ufeffClose,Adj Close,Low,High,Open,Date\r\n11,11,9,12,10,2024-01-02\r\n\r\n"

    parsed = parse_bars(text)

    assert parsed.bars.rows() == [Bar("2024-01-02", 10, 12, 9, 11, 0)]
    assert parsed.notes == ("Columns not used: Adj Close.",)


def test_more_bars_than_a_file_may_have_are_refused() -> None:
    days = (date(1900, 1, 1) + timedelta(days=number) for number in range(100_001))

    with pytest.raises(CsvRejected, match="line 100002: more than 100000 bars"):
        parse_bars("\n".join(["date,open,high,low,close", *(f"{day},1,1,1,1" for day in days)]))
