"""Read a Parquet file of bars. pyarrow is native code over bytes from outside: it meets them in a confined child only."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from mcp_server.jobs.contract import Result, Task

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

PRICES = ("open", "high", "low", "close")
# How pandas and others name the column of times; the last is an index without a name.
TIMES = ("date", "datetime", "timestamp", "time", "__index_level_0__")

# Six columns of 100,000 rows are 5 MB; the rest is room for texts as dates.
MOST_UNPACKED_BYTES = 48 * 1024 * 1024
MOST_COLUMNS = 200
MOST_ROW_GROUPS = 1_000
MOST_METADATA_BYTES = 4 * 1024 * 1024

DAY = 86_400 * 10**9
OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")


class Unreadable(Exception):
    """The file can't be read as bars, and why."""


def run(task: Task) -> Result:
    """Arguments `base64` and `most_rows`. Values: `rejected` with the reason, or `dated`, `zone` and `ignored`.

    Arrays: `day` and `moment` in nanoseconds since 1970, or, when the dates are texts, none and `texts` among the
    values; open, high, low, close and volume as doubles. A missing price is NaN, a missing volume 0.
    """
    try:
        packed = base64.b64decode(task.arguments["base64"], validate=True)
    # binascii.Error is one of them, and so is a text that is not ASCII.
    except ValueError:
        return Result({"rejected": "the text is not base64"})
    try:
        return _read(packed, most_rows=task.arguments["most_rows"])
    except Unreadable as error:
        return Result({"rejected": str(error)})


def _read(packed: bytes, *, most_rows: int) -> Result:
    import pyarrow as pa  # noqa: PLC0415 - see the module's docstring
    import pyarrow.parquet as pq  # noqa: PLC0415 - see the module's docstring

    try:
        file = pq.ParquetFile(
            pa.BufferReader(packed),
            pre_buffer=False,
            thrift_string_size_limit=MOST_METADATA_BYTES,
            thrift_container_size_limit=MOST_METADATA_BYTES,
        )
        names, ignored = _columns(file.schema_arrow.names)
        _check_size(file.metadata, set(names.values()), most_rows=most_rows)
        table = file.read(columns=list(names.values()), use_threads=False)
        return _result(table, names, ignored)
    except (pa.ArrowException, OSError, OverflowError) as error:
        raise Unreadable(f"not a Parquet file that can be read: {' '.join(str(error).split())[:200]}") from error


def _columns(found: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The file's name of each column that is used, and the names that are not."""
    if len(found) > MOST_COLUMNS:
        raise Unreadable(f"{len(found)} columns; it may have {MOST_COLUMNS}")
    lower = [name.strip().lower() for name in found]
    time = next((name for name in TIMES if name in lower), None)
    missing = [name for name in PRICES if name not in lower] + ([] if time else ["date"])
    if missing:
        raise Unreadable(
            f"there is no column {', '.join(missing)}; it needs date, open, high, low, close, maybe volume"
        )
    wanted = [time or "", *PRICES, *(["volume"] if "volume" in lower else [])]
    twice = [name for name in wanted if lower.count(name) > 1]
    if twice:
        raise Unreadable(f"there are two columns {', '.join(twice)}")
    names = {"date" if name == time else name: found[lower.index(name)] for name in wanted}
    return names, [name[:40] for name in found if name not in names.values()]


def _check_size(metadata: pq.FileMetaData, wanted: set[str], *, most_rows: int) -> None:
    """What the file says of itself before anything is unpacked."""
    if metadata.num_rows > most_rows:
        raise Unreadable(f"{metadata.num_rows} rows; import at most {most_rows}, a shorter range")
    if metadata.num_row_groups > MOST_ROW_GROUPS:
        raise Unreadable(f"{metadata.num_row_groups} row groups; write it with fewer")
    unpacked = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        chunks = [group.column(index) for index in range(group.num_columns)]
        unpacked += sum(each.total_uncompressed_size for each in chunks if each.path_in_schema in wanted)
    if unpacked > MOST_UNPACKED_BYTES:
        raise Unreadable(f"its columns unpack to {unpacked // 2**20} MiB; it may be {MOST_UNPACKED_BYTES // 2**20}")


def _result(table: pa.Table, names: dict[str, str], ignored: list[str]) -> Result:
    arrays = {name: _numbers(table, names[name], name) for name in PRICES}
    rows = len(table)
    arrays["volume"] = (
        np.nan_to_num(_numbers(table, names["volume"], "volume")) if "volume" in names else np.zeros(rows)
    )
    values: dict[str, Any] = {"ignored": ignored, "texts": None, "dated": False, "zone": False}
    column = table.column(names["date"])
    if column.null_count:
        raise Unreadable("some rows have no date")
    _read_times(column, values, arrays)
    return Result(values, arrays)


def _numbers(table: pa.Table, found: str, name: str) -> np.ndarray:
    """A column as doubles, NaN where nothing stands."""
    import pyarrow as pa  # noqa: PLC0415 - see the module's docstring

    column = table.column(found)
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise Unreadable(f"column {name} holds {kind}, not numbers")
    numbers = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.array(numbers, dtype=np.float64)


def _read_times(column: pa.ChunkedArray, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    import pyarrow as pa  # noqa: PLC0415 - see the module's docstring

    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        values["texts"] = column.to_pylist()
    elif pa.types.is_date(kind):
        values["dated"] = True
        days = column.cast(pa.date32()).cast(pa.int32()).to_numpy(zero_copy_only=False)
        arrays["day"] = arrays["moment"] = days.astype(np.int64) * DAY
    elif pa.types.is_timestamp(kind):
        values["zone"] = kind.tz is not None
        moments = column.cast(pa.timestamp("ns", kind.tz)).cast(pa.int64()).to_numpy(zero_copy_only=False)
        arrays["moment"] = np.array(moments, dtype=np.int64)
        arrays["day"] = _local_days(arrays["moment"], kind.tz)
    else:
        raise Unreadable(f"column date holds {kind}, not dates, timestamps or texts")


def _local_days(moments: np.ndarray, zone: str | None) -> np.ndarray:
    """The midnights of the dates that clocks of the zone showed."""
    if zone in (None, "UTC", "Etc/UTC", "Z", "+00:00"):
        return np.asarray(moments - moments % DAY)
    there = _zone(zone or "")
    offsets = [(datetime.fromtimestamp(int(each) // 10**9, UTC).astimezone(there)).utcoffset() for each in moments]
    local = moments + np.array([int((each or timedelta()).total_seconds()) * 10**9 for each in offsets], dtype=np.int64)
    return np.asarray(local - local % DAY)


def _zone(name: str) -> tzinfo:
    fixed = OFFSET.fullmatch(name)
    if fixed:
        sign, hours, minutes = fixed.groups()
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        return timezone(-offset if sign == "-" else offset)
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        raise Unreadable(f"the time zone {name[:40]!r} is not known") from error
