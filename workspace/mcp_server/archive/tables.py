"""Which tables an archive carries, and how a row becomes a line of JSON with its larger cells as files."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, Json, TypeAdapter

from mcp_server.deployments.store import check_row
from mcp_server.storage.preferences import Preferences

Row = dict[str, Any]
Suffix = Callable[[Row], str]

# Read whole, so no larger; a single row may be.
PART_BYTES = 1024 * 1024

# Series of 100,000 bars are a tenth of it.
MOST_UNPACKED_BYTES = 64 * 1024 * 1024
# zlib's own sign for "either, see the header".
GZIP_OR_ZLIB = 47

# What is made from other rows, or says whose the file is.
DERIVED = frozenset({"about", "memory_vectors", "passage_vectors"})

# Ordinary tables of the user's; not the search indexes and what they consist of.
ORDINARY = """
SELECT name FROM pragma_table_list
WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name
"""


class _Message(BaseModel):
    role: str
    content: str


_MESSAGE: TypeAdapter[Any] = TypeAdapter(Json[_Message])
_TAGS: TypeAdapter[Any] = TypeAdapter(Json[list[str]])


@dataclass(frozen=True, slots=True)
class Table:
    """A table's place in the archive. `files` are columns whose cells are files, named after the columns `label`.

    `check` raises ValueError for a row that the server could not work with; `index` writes what is made from a row.
    """

    name: str
    folder: str
    files: Mapping[str, Suffix] = field(default_factory=dict)
    label: tuple[str, ...] = ()
    check: Callable[[Row], object] = bool
    index: Callable[[sqlite3.Connection, Row], object] = lambda _connection, _row: None


def _index_memory(connection: sqlite3.Connection, row: Row) -> None:
    words = " ".join(json.loads(row["tags"]))
    connection.execute(
        "INSERT INTO memory_words (rowid, content, tags) VALUES (?, ?, ?)", (row["position"], row["content"], words)
    )


def _index_passage(connection: sqlite3.Connection, row: Row) -> None:
    connection.execute("INSERT INTO passage_words (rowid, text) VALUES (?, ?)", (row["position"], row["text"]))


def _has_its_digest(row: Row) -> None:
    if hashlib.sha256(row["source"].encode("utf-8")).hexdigest() != row["digest"]:
        raise ValueError("a strategy's source is not that of its digest")


def _unfolds(*columns: str) -> Callable[[Row], object]:
    """A check that these packed cells can be unpacked and don't unfold into more than a server could hold."""

    def check(row: Row) -> None:
        for column in columns:
            if row.get(column) is not None:
                unpacker = zlib.decompressobj(GZIP_OR_ZLIB)
                unpacker.decompress(row[column], MOST_UNPACKED_BYTES)
                if not unpacker.eof:
                    raise ValueError(f"{column} is too large or cut")

    return check


def _named(suffix: str) -> Suffix:
    return lambda _row: suffix


def _document_suffix(row: Row) -> str:
    return {"pdf": ".pdf", "markdown": ".md", "csv": ".csv"}.get(row["kind"], ".txt")


KNOWN = (
    Table(
        "preferences",
        "preferences",
        check=lambda row: Preferences.model_validate({row["key"]: json.loads(row["value"])}),
    ),
    Table("memories", "memories", check=lambda row: _TAGS.validate_python(row["tags"]), index=_index_memory),
    Table("conversations", "conversations"),
    Table("messages", "conversations", check=lambda row: _MESSAGE.validate_python(row["body"])),
    Table("turns", "conversations"),
    Table("summaries", "conversations"),
    Table("documents", "documents", files={"content": _document_suffix}, label=("name",)),
    Table("passages", "documents", index=_index_passage),
    Table("strategies", "strategies"),
    Table(
        "strategy_versions",
        "strategies",
        files={"source": _named(".py")},
        label=("strategy", "version"),
        check=_has_its_digest,
    ),
    Table(
        "imported_bars",
        "bars",
        files={"csv_gz": _named(".csv.gz")},
        label=("symbol",),
        check=_unfolds("csv_gz"),
    ),
    Table(
        "backtests",
        "backtests",
        files={"chart_png": _named(".png")},
        label=("id",),
        check=_unfolds("trades_z", "equity_z"),
    ),
    Table("deployments", "deployments", check=check_row),
    Table("deployment_steps", "deployments"),
    Table("paper_orders", "deployments"),
)


def tables_of(connection: sqlite3.Connection) -> list[Table]:
    """The tables that an archive of this file carries, each after those that it refers to.

    One that is not known here is carried as it is, so nothing of a user's can be left out by being new.
    """
    known = {table.name: table for table in KNOWN}
    names = [name for (name,) in connection.execute(ORDINARY) if name not in DERIVED]
    found: dict[str, Table] = {}

    def add(name: str) -> None:
        for (parent,) in connection.execute('SELECT "table" FROM pragma_foreign_key_list(?)', (name,)).fetchall():
            if parent not in found and parent != name:
                add(parent)
        found.setdefault(name, known.get(name, Table(name, "tables")))

    for name in [*(each.name for each in KNOWN if each.name in names), *names]:
        add(name)
    return list(found.values())


def export_table(connection: sqlite3.Connection, table: Table) -> Iterator[tuple[str, bytes]]:
    """The table's entries: files first, then the lines that name them."""
    lines: list[bytes] = []
    size = part = 0
    cursor = connection.execute(f"SELECT * FROM {table.name} ORDER BY {_order(connection, table)}")
    columns = [column for column, *_ in cursor.description]
    for number, cells in enumerate(cursor, 1):
        row = dict(zip(columns, cells, strict=True))
        for column, path, content in _files(table, row, number):
            yield path, content.encode() if isinstance(content, str) else content
            row[column] = {"file": path, "text": isinstance(content, str)}
        lines.append(json.dumps(row, ensure_ascii=False, default=_plain).encode("utf-8", "surrogatepass") + b"\n")
        size += len(lines[-1])
        if size >= PART_BYTES:
            part += 1
            yield _part(table, part), b"".join(lines)
            lines, size = [], 0
    if lines:
        yield _part(table, part + 1), b"".join(lines)


def restore_part(
    connection: sqlite3.Connection, table: Table, lines: Iterable[bytes], *, read: Callable[[str], bytes]
) -> int:
    """Insert the rows; gives their number. `read` gives the content of the file with that path in the archive.

    Raises ValueError, TypeError, KeyError or sqlite3.Error for what the table can't hold.
    """
    count = 0
    for count, line in enumerate(lines, 1):  # noqa: B007 - the last number is the answer
        row: Row = {column: _cell(value, read) for column, value in json.loads(line).items()}
        table.check(row)
        columns = _known_columns(connection, table, row)
        marks = ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO {table.name} ({columns}) VALUES ({marks})", tuple(row.values()))
        table.index(connection, row)
    return count


def _order(connection: sqlite3.Connection, table: Table) -> str:
    keys = connection.execute("SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", (table.name,))
    return ", ".join(name for (name,) in keys) or "rowid"


def _known_columns(connection: sqlite3.Connection, table: Table, row: Row) -> str:
    known = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table.name,))}
    if not row or not row.keys() <= known:
        raise ValueError(f"{table.name} has no column {', '.join(sorted(row.keys() - known))[:200]}")
    return ", ".join(row)


def _files(table: Table, row: Row, number: int) -> Iterator[tuple[str, str, Any]]:
    for column, suffix in table.files.items():
        if row.get(column) is not None:
            label = re.sub(r"[^A-Za-z0-9_-]+", "_", "-".join(str(row[each]) for each in table.label))
            yield column, f"{table.folder}/files/{number:06}-{label[:60]}{suffix(row)}", row[column]


def _part(table: Table, number: int) -> str:
    return f"{table.folder}/{table.name}-{number:06}.jsonl"


def _plain(value: Any) -> dict[str, str]:
    return {"hex": bytes(value).hex()}


def _cell(value: Any, read: Callable[[str], bytes]) -> Any:
    """A cell as SQLite keeps it."""
    if not isinstance(value, dict):
        if isinstance(value, list | bool):
            raise TypeError("a cell holds a list or a truth value")
        return value
    if value.keys() == {"hex"}:
        return bytes.fromhex(value["hex"])
    content = read(value["file"])
    return content.decode("utf-8") if value.get("text") else content
