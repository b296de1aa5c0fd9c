"""Parquet files through a real server, and through the job alone for many shapes of them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp.client import Client

from mcp_server.errors import ParquetRejected
from mcp_server.jobs import parquet
from mcp_server.jobs.contract import Task
from mcp_server.market.bars import Bars
from mcp_server.market.csv_format import parse_bars
from mcp_server.market.parquet_format import read_parquet
from mcp_server.sandbox import Answer, Job, Sandbox
from mcp_server.tests.harness import call, refusal
from mcp_server.tests.test_csv_format import some_bars

DAYS = [date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4)]
NOON = datetime(2024, 1, 2, 12, tzinfo=UTC)


def table(times: Any, **changes: Any) -> pa.Table:
    """Three good bars, or as many as there are times."""
    count = len(times)
    columns = {"date": times, "open": [1.0] * count, "high": [2.0] * count, "low": [0.5] * count}
    columns |= {"close": [1.5] * count, "volume": list(range(count))}
    return pa.table({name: value for name, value in (columns | changes).items() if value is not None})


def packed(content: pa.Table, **options: Any) -> str:
    """The table as Parquet, as base64."""
    file = io.BytesIO()
    pq.write_table(content, file, **options)
    return base64.b64encode(file.getvalue()).decode()


def told(text: str) -> dict[str, Any]:
    """What the job answers, run in this process."""
    return parquet.run(Task({"base64": text, "most_rows": 100_000})).values


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    opened = Sandbox(tier="pro")
    yield opened
    opened.close()


async def test_a_file_of_days_is_imported_as_the_same_csv_would_be(client: Client) -> None:
    text = packed(table(DAYS, note=["a", "b", "c"]))

    imported = await call(client, "import_parquet", symbol="pq", parquet_base64=text)

    assert imported == {
        "symbol": "PQ",
        "from": "2024-01-02",
        "to": "2024-01-04",
        "bars": 3,
        "notes": ["Columns not used: note."],
    }
    assert (await call(client, "get_bars", symbol="PQ"))["rows"][2] == ["2024-01-04", 1, 2, 0.5, 1.5, 2]


async def test_hours_are_read_with_their_zone(client: Client) -> None:
    times = pa.array([NOON, NOON + timedelta(hours=1)], pa.timestamp("us", "America/New_York"))

    await call(client, "import_parquet", symbol="HOURS", parquet_base64=packed(table(times)))

    got = await call(client, "get_bars", symbol="HOURS")
    assert got["interval"] == "1h"
    assert [row[0] for row in got["rows"]] == ["2024-01-02T12:00:00Z", "2024-01-02T13:00:00Z"]


async def test_a_refused_file_leaves_the_earlier_import(client: Client) -> None:
    await call(client, "import_parquet", symbol="KEPT", parquet_base64=packed(table(DAYS)))
    wrong = packed(table(DAYS, close=[1.5, None, 1.5]))

    assert "row 2: close is missing or not finite" in await refusal(
        client, "import_parquet", symbol="KEPT", parquet_base64=wrong
    )
    assert (await call(client, "get_bars", symbol="KEPT"))["bars"] == 3


def test_the_largest_file_is_read_in_the_free_tiers_memory() -> None:
    rows = 100_000
    stamps = pa.array(np.arange(rows) * 3_600_000_000, pa.timestamp("us", "Europe/Zurich"))
    free = Sandbox(tier="free")
    try:
        assert len(read_parquet(free, packed(table(stamps), compression="zstd")).bars) == rows
    finally:
        free.close()


@pytest.mark.parametrize(
    "times",
    [
        pa.array(DAYS, pa.date64()),
        pa.array([str(day) for day in DAYS]),
        pa.array([datetime(day.year, day.month, day.day) for day in DAYS], pa.timestamp("ns")),  # noqa: DTZ001 - meant
        # Midnight in Tokyo is the day before in UTC.
        pa.array([datetime(2024, 1, day, 15, tzinfo=UTC) for day in (1, 2, 3)], pa.timestamp("s", "Asia/Tokyo")),
        pa.array([datetime(2024, 1, day, 15, tzinfo=UTC) for day in (1, 2, 3)], pa.timestamp("ms", "+09:00")),
    ],
    ids=["date64", "text", "midnights", "Tokyo", "+09:00"],
)
def test_days_are_days_however_they_are_written(sandbox: Sandbox, times: pa.Array) -> None:
    bars = read_parquet(sandbox, packed(table(times))).bars

    assert bars.dates == ("2024-01-02", "2024-01-03", "2024-01-04")
    assert bars.interval.name == "1d"


def test_a_pandas_index_is_the_column_of_times(sandbox: Sandbox) -> None:
    content = table(DAYS).rename_columns(["__index_level_0__", "Open", "High", "Low", "Close", "Volume"])

    assert len(read_parquet(sandbox, packed(content)).bars) == 3


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (table(DAYS, close=None), "there is no column close"),
        (table(DAYS, date=None), "there is no column date"),
        (table(DAYS, close=["1", "2", "3"]), "column close holds string, not numbers"),
        (table(DAYS, date=[1, 2, 3]), "column date holds int64, not dates"),
        (table([None, *DAYS[1:]]), "some rows have no date"),
        (table(DAYS).append_column("Close", [[1.0, 1.0, 1.0]]), "there are two columns close"),
        (table(DAYS).slice(0, 0), "it has no rows"),
        (table(DAYS, open=[1.0, float("inf"), 1.0]), "row 2: open is missing or not finite"),
        (table(DAYS, high=[1.0, 1.0, 1.0]), "row 1: low 0.5 and high 1.0 don't enclose open 1.0 and close 1.5"),
        (table([DAYS[0]] * 3), "row 2: date 2024-01-02 stands already on row 1"),
        (table(["x", "y", "z"]), "row 1: date 'x' is not YYYY-MM-DD"),
        (table(DAYS, volume=[-1, 1, 1]), "row 1: volume -1.0 is below 0"),
        (table(pa.array([NOON] * 3, pa.timestamp("s", "Mars/Base"))), "the time zone 'Mars/Base' is not known"),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(sandbox: Sandbox, content: pa.Table, complaint: str) -> None:
    with pytest.raises(ParquetRejected) as caught:
        read_parquet(sandbox, packed(content))

    assert complaint in str(caught.value)


def test_a_file_that_says_it_is_too_large_is_refused_before_it_is_unpacked() -> None:
    """Source: 100 million equal rows are a few kilobytes of Parquet."""
    rows = 100_001
    many = pa.table(
        {
            "date": pa.array(np.arange(rows), pa.int32()).cast(pa.date32()),
            **dict.fromkeys(("open", "high", "low", "close"), np.ones(rows)),
        }
    )
    long = table(["2024-01-02" + " " * 20_000_000, "b", "c"])
    groups = packed(table(DAYS * 400), row_group_size=1)

    assert told(packed(many))["rejected"].startswith("100001 rows; import at most 100000")
    assert "its columns unpack to" in told(packed(pa.concat_tables([long] * 3), use_dictionary=False))["rejected"]
    assert told(groups)["rejected"] == "1200 row groups; write it with fewer"


def test_a_file_that_lies_about_its_size_ends_within_the_sandboxs_memory(sandbox: Sandbox) -> None:
    """A dictionary of one long text, which every row repeats: small in the file, endless as plain texts."""
    times = pa.DictionaryArray.from_arrays(np.zeros(90_000, np.int32), ["2024-01-02" + " " * 1_000_000])
    text = packed(table(times), store_schema=False)
    assert len(text) < 1_500_000

    with pytest.raises(ParquetRejected, match=r"reading it failed|not a Parquet file that can be read"):
        read_parquet(sandbox, text)


@pytest.mark.parametrize("text", ["", "!!!", "UEFSMQ==", "UEFSMVBBUjE=", "A" * 1000], ids=range(5))
def test_what_is_no_file_is_refused(sandbox: Sandbox, text: str) -> None:
    with pytest.raises(ParquetRejected):
        read_parquet(sandbox, text)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_do_worse_than_be_refused(content: bytes) -> None:
    assert "rejected" in told(base64.b64encode(content).decode())


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_a_damaged_file_does_no_worse_than_be_refused_or_read(sandbox: Sandbox, data: st.DataObject) -> None:
    """Source: pyarrow is native code; whatever it does with the bytes, this process lives on."""
    content = bytearray(base64.b64decode(packed(table(DAYS))))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.integers(0, 255))

    with suppress(ParquetRejected):
        read_parquet(sandbox, base64.b64encode(bytes(content)).decode())


class InProcess(Sandbox):
    """Runs the entry here: hundreds of files in the time of one child."""

    def __init__(self) -> None:
        pass

    def run(self, job: Job, **_: Any) -> Answer:
        result = parquet.run(Task(job.arguments))
        return Answer(result.values, dict(result.arrays), {})


@settings(deadline=None)
@given(some_bars(), st.sampled_from(["snappy", "zstd", "none"]))
def test_bars_survive_the_way_through_parquet_unchanged(bars: Bars, compression: str) -> None:
    columns = {"date": pa.array(bars.dates), **{name: getattr(bars, name) for name in ("open", "high", "low")}}
    content = pa.table({**columns, "close": bars.close, "volume": bars.volume})

    assert read_parquet(InProcess(), packed(content, compression=compression)).bars == bars


def test_csv_and_parquet_of_hours_give_the_same_bars(sandbox: Sandbox) -> None:
    times = [NOON + timedelta(minutes=15 * number) for number in range(4)]
    lines = [f"{time.strftime('%Y-%m-%dT%H:%M:%SZ')},1,2,0.5,1.5,{row}" for row, time in enumerate(times)]

    from_csv = parse_bars("\n".join(["date,open,high,low,close,volume", *lines]))
    from_parquet = read_parquet(sandbox, packed(table(times)))

    assert from_parquet == from_csv
    assert from_parquet.bars.digest() == from_csv.bars.digest()
