"""Daily bars as CSV text: read strictly, written in one normal form."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from mcp_server.errors import CsvRejected
from mcp_server.market.bars import COLUMNS, Bar, Bars

# 100,000 daily bars are 400 years: a longer file is something else.
MAX_BARS = 100_000

REQUIRED = ("date", "open", "high", "low", "close")

# Python's float() also reads "nan", "1_000" and other alphabets' digits; none of them is a price.
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class ParsedCsv:
    """Bars, and what a person should know about how they were read."""

    bars: Bars
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One data row: its line number in the text (the heading is line 1) and its cells by column."""

    number: int
    cells: Mapping[str, str]


def parse_bars(text: str) -> ParsedCsv:
    """Read CSV whose heading names date, open, high, low, close and optionally volume, in any case and order.

    Dates are YYYY-MM-DD, prices finite and above 0, low <= open, close <= high; an empty volume is 0. Rows in another
    order are sorted and other columns ignored, and both are told in `notes`. Raises CsvRejected with the line.
    """
    lines = _data_lines(text)
    columns, ignored = _columns(next(lines, (1, []))[1])
    rows: list[Bar] = []
    line_of: dict[str, int] = {}
    for number, cells in lines:
        if len(cells) != len(columns) + len(ignored):
            wanted = len(columns) + len(ignored)
            raise CsvRejected(f"{len(cells)} cells, the heading has {wanted}", line=number)
        bar = _bar(Line(number, {name: cells[index].strip() for name, index in columns.items()}))
        if bar.date in line_of:
            raise CsvRejected(f"date {bar.date} stands already on line {line_of[bar.date]}", line=number)
        if len(rows) == MAX_BARS:
            raise CsvRejected(f"more than {MAX_BARS} bars; import a shorter range", line=number)
        line_of[bar.date] = number
        rows.append(bar)
    if not rows:
        raise CsvRejected("no bars below the heading")
    return _sorted(rows, ignored)


def format_bars(bars: Bars) -> str:
    """Bars as CSV text that `parse_bars` reads back to the same numbers."""
    lines = [",".join(COLUMNS)]
    lines += [",".join((row.date, *(_short(value) for value in row[1:]))) for row in bars.rows()]
    return "\n".join(lines) + "\n"


def _short(value: float) -> str:
    return str(int(value)) if value.is_integer() and value < 1e15 else repr(value)


def _sorted(rows: list[Bar], ignored: list[str]) -> ParsedCsv:
    notes = []
    if any(later.date < earlier.date for earlier, later in pairwise(rows)):
        rows.sort(key=lambda bar: bar.date)
        notes.append("The rows were not in order of date; they were sorted.")
    if ignored:
        notes.append(f"Columns not used: {', '.join(ignored)}.")
    return ParsedCsv(Bars.of(rows), tuple(notes))


def _data_lines(text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise CsvRejected(f"not CSV: {error}", line=max(reader.line_num, 1)) from error


def _columns(heading: list[str]) -> tuple[dict[str, int], list[str]]:
    names = [name.strip().lower() for name in heading]
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise CsvRejected(
            f"the heading lacks {', '.join(missing)}; it must be comma-separated and name date, open, high, low, close "
            "and optionally volume",
            line=1,
        )
    twice = sorted({name for name in names if name in COLUMNS and names.count(name) > 1})
    if twice:
        raise CsvRejected(f"the heading names {', '.join(twice)} twice", line=1)
    used = {name: index for index, name in enumerate(names) if name in COLUMNS}
    return used, [shown[:40] or "(unnamed)" for name, shown in zip(names, heading, strict=True) if name not in COLUMNS]


def _bar(line: Line) -> Bar:
    opened, high, low, close = (_price(line, name) for name in ("open", "high", "low", "close"))
    if not low <= min(opened, close) or not high >= max(opened, close):
        raise CsvRejected(f"low {low} and high {high} don't enclose open {opened} and close {close}", line=line.number)
    return Bar(_date(line), opened, high, low, close, _volume(line))


def _date(line: Line) -> str:
    text = line.cells["date"]
    try:
        if ISO_DATE.fullmatch(text):
            return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise CsvRejected(f"date {text!r} is not in the calendar", line=line.number) from error
    raise CsvRejected(f"date {text[:40]!r} is not YYYY-MM-DD", line=line.number)


def _price(line: Line, name: str) -> float:
    value = _number(line, name)
    if value <= 0:
        raise CsvRejected(f"{name} {value} is not above 0", line=line.number)
    return value


def _volume(line: Line) -> float:
    if not line.cells.get("volume"):
        return 0.0
    value = _number(line, "volume")
    if value < 0:
        raise CsvRejected(f"volume {value} is below 0", line=line.number)
    return value


def _number(line: Line, name: str) -> float:
    text = line.cells[name]
    value = float(text) if NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise CsvRejected(f"{name} {text[:40]!r} is not a finite number", line=line.number)
    return value
