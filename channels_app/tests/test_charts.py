"""Charts are geometry and words. Source: docs/operations.md, The admin."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels_app.charts import Caption, Series, chart, count_words, money_words, scale_top

CAPTION = Caption(title="Turns", headline="7", words=count_words)
DAYS = [date(2026, 11, 1) + timedelta(days=number) for number in range(3)]


def test_a_day_is_a_column_of_its_values_one_on_the_other() -> None:
    drawn = chart(CAPTION, DAYS, [Series("turns", [1, 0, 4], "bad"), Series("starts", [1, 0, 0], "warn")])

    first, second, third = drawn.columns
    assert [(bar.tone, bar.y, bar.height) for bar in first.bars] == [("bad", "75", "25"), ("warn", "50", "25")]
    assert second.bars == []
    assert [(bar.x, bar.height) for bar in third.bars] == [("21.5", "100")]
    assert third.title == "Tue 03 Nov 2026: 4 turns, 0 starts"
    assert (drawn.ticks, drawn.width, drawn.first, drawn.last) == (["4", "2"], "30", DAYS[0], DAYS[2])


def test_the_axis_of_what_is_counted_one_by_one_has_no_halves() -> None:
    assert chart(CAPTION, DAYS, [Series("turns", [0, 1, 0])]).ticks == ["2", "1"]
    assert chart(CAPTION, DAYS, [Series("minutes", [Decimal(0), Decimal(1), Decimal(0)])]).ticks == ["1", "0.5"]


@given(st.lists(st.one_of(st.integers(0, 10**12), st.decimals(0, 10**9, places=9)), min_size=1, max_size=90))
def test_no_bar_is_higher_than_its_chart_or_twice_as_high_as_need_be(values: list[int | Decimal]) -> None:
    days = [DAYS[0] + timedelta(days=number) for number in range(len(values))]

    drawn = chart(CAPTION, days, [Series("turns", values)])

    heights = [float(bar.height) for column in drawn.columns for bar in column.bars]
    assert all(0 <= height <= 100 for height in heights)
    assert max(values) == 0 or max(heights) >= 49.99


@pytest.mark.parametrize(
    ("largest", "top"), [(0, "2"), (1, "1"), (3, "4"), (11, "20"), (100, "100"), ("0.0031", "0.004")]
)
def test_a_scale_ends_at_a_round_number(largest: int | str, top: str) -> None:
    assert scale_top(Decimal(largest)) == Decimal(top)


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0"), (1234, "1,234"), (100_000, "100 k"), (1_250_000, "1.2 M"), (3 * 10**9, "3 G"), (Decimal("0.5"), "0.5")],
)
def test_counts_in_words(count: int | Decimal, words: str) -> None:
    assert count_words(count) == words


@pytest.mark.parametrize(("amount", "words"), [("0", "$0.00"), ("0.00314", "$0.0031"), ("1234.5", "$1,234.50")])
def test_money_in_words(amount: str, words: str) -> None:
    assert money_words(Decimal(amount)) == words
