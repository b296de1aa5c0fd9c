"""Parquet files become bars by the same rules as CSV; the reading itself is a job of the sandbox."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from mcp_server.errors import ParquetRejected, SandboxFailed, SandboxUnavailable
from mcp_server.market.bars import PRICES
from mcp_server.market.csv_format import MAX_BARS, Parsed
from mcp_server.market.series import Series
from mcp_server.market.times import SECOND, Written, read_written
from mcp_server.sandbox import Answer, Job, Limits, Sandbox
from mcp_server.sandbox.jobs import MIB

ENTRY = "mcp_server.jobs.parquet:run"
# Loaded before the child is forked: its libraries alone would take the memory that a job of the free tier may add.
PRELOAD = ("numpy", "pyarrow.parquet")

# An honest file of the largest size is read in less than a second.
LIMITS = Limits(wall_s=20, cpu_s=10, memory_bytes=256 * MIB, output_bytes=16 * MIB, disk_bytes=MIB)


def read_parquet(sandbox: Sandbox, base64_text: str) -> Parsed:
    """Bars of a Parquet file with columns date, open, high, low, close and optionally volume.

    Dates are dates, timestamps (without a zone: UTC) or texts as in CSV. Raises ParquetRejected, SandboxUnavailable.
    """
    job = Job(ENTRY, {"base64": base64_text, "most_rows": MAX_BARS}, preload=PRELOAD, limits=LIMITS)
    try:
        answer = sandbox.run(job)
    except SandboxUnavailable:
        raise
    except SandboxFailed as error:
        raise ParquetRejected(f"reading it failed: {error}") from error
    if "rejected" in answer.values:
        raise ParquetRejected(str(answer.values["rejected"]))
    return _parsed(answer)


def _parsed(answer: Answer) -> Parsed:
    series = Series(ParquetRejected)
    columns = [answer.arrays[name].tolist() for name in PRICES]
    if not columns[0]:
        raise ParquetRejected("it has no rows")
    for row, (written, *figures) in enumerate(zip(_written(answer), *columns, strict=True), 1):
        for name, value in zip(PRICES, figures, strict=True):
            if not math.isfinite(value):
                raise ParquetRejected(f"{name} is missing or not finite", at=row)
        series.add(row, written, tuple(figures))
    bars, notes = series.bars()
    ignored = [str(name) for name in answer.values["ignored"]]
    return Parsed(bars, (*notes, *([f"Columns not used: {', '.join(ignored)}."] if ignored else [])))


def _written(answer: Answer) -> Iterator[Written]:
    values: dict[str, Any] = answer.values
    if values["texts"] is not None:
        yield from (_from_text(row, str(text)) for row, text in enumerate(values["texts"], 1))
        return
    for day, moment in zip(answer.arrays["day"].tolist(), answer.arrays["moment"].tolist(), strict=True):
        # A fraction of a second is residue of a conversion; two bars in one second are refused later.
        yield Written(day, None if values["dated"] else moment - moment % SECOND, zone=bool(values["zone"]))


def _from_text(row: int, text: str) -> Written:
    try:
        return read_written(text.strip())
    except ValueError as error:
        raise ParquetRejected(f"date {error}", at=row) from error
