"""Bars as CSV text: read strictly, written in one normal form."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mcp_server.errors import CsvRejected
from mcp_server.market.bars import COLUMNS, Bars
from mcp_server.market.series import Series
from mcp_server.market.times import Written, read_written

# 100,000 daily bars are 400 years, hourly ones 11: a longer file is something else.
MAX_BARS = 100_000

REQUIRED = ("date", "open", "high", "low", "close")

# Python's float() also reads "nan", "1_000" and other alphabets' digits; none of them is a price.
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Parsed:
    """Bars, and what a person should know about how they were read."""

    bars: Bars
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One data row: its line number in the text (the heading is line 1) and its cells by column."""

    number: int
    cells: Mapping[str, str]


def parse_bars(text: str) -> Parsed:
    """Read CSV whose heading names date, open, high, low, close and optionally volume, in any case and order.

    Dates are YYYY-MM-DD or, for bars within a day, YYYY-MM-DDTHH:MM[:SS] with Z or an offset, UTC without; prices are
    finite and above 0, low <= open, close <= high; an empty volume is 0. Rows in another order are sorted and other
    columns ignored, and both are told in `notes`. Raises CsvRejected with the line.
    """
    lines = _data_lines(text)
    columns, ignored = _columns(next(lines, (1, []))[1])
    series = Series(CsvRejected)
    for number, cells in lines:
        if len(cells) != len(columns) + len(ignored):
            wanted = len(columns) + len(ignored)
            raise CsvRejected(f"{len(cells)} cells, the heading has {wanted}", at=number)
        if len(series) == MAX_BARS:
            raise CsvRejected(f"more than {MAX_BARS} bars; import a shorter range", at=number)
        _add(series, Line(number, {name: cells[index].strip() for name, index in columns.items()}))
    bars, notes = series.bars()
    if ignored:
        notes.append(f"Columns not used: {', '.join(ignored)}.")
    return Parsed(bars, tuple(notes))


def format_bars(bars: Bars) -> str:
    """Bars as CSV text that `parse_bars` reads back to the same numbers."""
    lines = [",".join(COLUMNS)]
    lines += [",".join((row.date, *(_short(value) for value in row[1:]))) for row in bars.rows()]
    return "\n".join(lines) + "\n"


def _short(value: float) -> str:
    return str(int(value)) if value.is_integer() and value < 1e15 else repr(value)


def _data_lines(text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise CsvRejected(f"not CSV: {error}", at=max(reader.line_num, 1)) from error


def _columns(heading: list[str]) -> tuple[dict[str, int], list[str]]:
    names = [name.strip().lower() for name in heading]
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise CsvRejected(
            f"the heading lacks {', '.join(missing)}; it must be comma-separated and name date, open, high, low, close "
            "and optionally volume",
            at=1,
        )
    twice = sorted({name for name in names if name in COLUMNS and names.count(name) > 1})
    if twice:
        raise CsvRejected(f"the heading names {', '.join(twice)} twice", at=1)
    used = {name: index for index, name in enumerate(names) if name in COLUMNS}
    return used, [shown[:40] or "(unnamed)" for name, shown in zip(names, heading, strict=True) if name not in COLUMNS]


def _add(series: Series, line: Line) -> None:
    written = _written(line)
    prices = tuple(_number(line, name) for name in ("open", "high", "low", "close"))
    volume = _number(line, "volume") if line.cells.get("volume") else 0.0
    series.add(line.number, written, (*prices, volume))


def _written(line: Line) -> Written:
    text = line.cells["date"]
    try:
        return read_written(text)
    except ValueError as error:
        raise CsvRejected(f"date {error}", at=line.number) from error


def _number(line: Line, name: str) -> float:
    text = line.cells[name]
    value = float(text) if NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise CsvRejected(f"{name} {text[:40]!r} is not a finite number", at=line.number)
    return value
