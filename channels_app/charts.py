"""Bars by day, built for a template to draw. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from math import floor, log10

from django.utils.formats import date_format, number_format

Number = int | Decimal
Words = Callable[[Number], str]

# Bars are drawn on a grid of COLUMN by HEIGHT a day, which the page stretches.
COLUMN, BAR, HEIGHT = 10.0, 7.0, 100.0
# The scale's top is one of these times a power of ten: half of it is as short a number.
TOPS = (1, 2, 4, 6, 8, 10)


@dataclass(frozen=True, slots=True)
class Series:
    """What is counted, a value a day; `tone` is its colour, by name."""

    label: str
    values: Sequence[Number]
    tone: str = "main"


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle on the grid."""

    tone: str
    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True, slots=True)
class Column:
    """A day: its bars, one on the other, and its values in words."""

    day: date
    x: str
    title: str
    bars: list[Bar]
    words: list[str]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart; `headline` is its most telling number, `note` says more about it."""

    title: str
    headline: str
    note: str
    series: Sequence[Series]
    columns: list[Column]
    ticks: list[str]

    @property
    def width(self) -> str:
        """Of the grid."""
        return _short(len(self.columns) * COLUMN)

    @property
    def first(self) -> date:
        """The day on the left."""
        return self.columns[0].day

    @property
    def last(self) -> date:
        """The day on the right."""
        return self.columns[-1].day


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """The words around a chart; `words` writes a value."""

    title: str
    headline: str
    note: str = ""
    words: Words


def chart(caption: Caption, days: Sequence[date], series: Sequence[Series]) -> Chart:
    """The series, stacked, one column a day; each has as many values as there are days."""
    top = scale_top(max((sum(values) for values in zip(*(each.values for each in series), strict=True)), default=0))
    if all(isinstance(value, int) for each in series for value in each.values):
        top = max(top, Decimal(2))  # half of what is counted one by one is on the axis, too
    columns = [_column(index, day, series, top=top, words=caption.words) for index, day in enumerate(days)]
    ticks = [caption.words(top), caption.words(top / 2)]
    return Chart(caption.title, caption.headline, caption.note, series, columns, ticks)


def scale_top(largest: Number) -> Decimal:
    """The scale's end: the next round number that is not below `largest`; 2 for nothing at all."""
    if largest <= 0:
        return Decimal(2)
    power = Decimal(10) ** floor(log10(largest))
    return next(each * power for each in map(Decimal, TOPS) if each * power >= largest)


def count_words(value: Number) -> str:
    """A count, short from a hundred thousand on: 1,234 or 1.2 M; halves of a scale as they are."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if value >= size * (100 if unit == "k" else 1):
            tenths = (Decimal(value) / size).quantize(Decimal("0.1"), ROUND_HALF_EVEN)
            return f"{whole(int(tenths)) if tenths == int(tenths) else _digits(tenths, 1)} {unit}"
    plain = Decimal(value).normalize()
    return _digits(plain, max(0, -int(plain.as_tuple().exponent)))


def money_words(value: Number) -> str:
    """Dollars, with as many digits as small amounts need."""
    return f"${_digits(value, 2 if value == 0 or value >= 1 else 4)}"


def whole(value: Number) -> str:
    """A whole number as the page's language writes it: 1,234."""
    return _digits(value, 0)


def _column(index: int, day: date, series: Sequence[Series], *, top: Decimal, words: Words) -> Column:
    bars: list[Bar] = []
    y = HEIGHT
    for each in series:
        height = float(Decimal(each.values[index]) / top) * HEIGHT
        y -= height
        if height > 0:
            x = index * COLUMN + (COLUMN - BAR) / 2
            bars.append(Bar(each.tone, _short(x), _short(y), _short(BAR), _short(height)))
    said = [words(each.values[index]) for each in series]
    parts = ", ".join(f"{value} {each.label}" for value, each in zip(said, series, strict=True))
    return Column(day, _short(index * COLUMN), f"{date_format(day, 'D d M Y')}: {parts}", bars, said)


def _digits(value: Number, digits: int) -> str:
    rounded = Decimal(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN)
    return number_format(rounded, decimal_pos=digits, use_l10n=True, force_grouping=True)


def _short(number: float) -> str:
    # Text, so that no locale puts a comma into it.
    return f"{number:.2f}".rstrip("0").rstrip(".")
