"""Workspaces with a little of everything, their archives, and archives that somebody changed."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zipfile
from array import array
from collections.abc import Callable
from typing import Any

from mcp_server.archive.manifest import MANIFEST
from mcp_server.archive.tables import tables_of
from mcp_server.archive.writing import write_archive
from mcp_server.backtests.store import Backtests, Record
from mcp_server.documents.reading import read_document
from mcp_server.storage.conversations import Conversations
from mcp_server.storage.database import Database
from mcp_server.storage.documents import Documents
from mcp_server.storage.memories import Memories
from mcp_server.storage.preferences import Preferences, PreferenceStore
from mcp_server.strategies.store import Strategies
from mcp_server.tests.jobs_in_place import JobsInPlace


def add_document(database: Database, name: str, content: bytes) -> None:
    Documents(database).save(name, content, read_document(content, JobsInPlace()))


def furnish(database: Database) -> None:
    """A little of everything."""
    Memories(database).remember("Trades only US index futures", tags=["risk"])
    conversations = Conversations(database)
    conversations.append("main", turn="t1", messages=[{"role": "user", "content": "SPX?"}])
    conversations.summarise("main", text="Asked for SPX.", up_to=1)
    PreferenceStore(database).change(Preferences(language="de", max_leverage=1.5))
    strategies = Strategies(database)
    strategies.save("Mine", "def signals(bars):\n    return bars.close * 0\n", description="Always flat")
    strategies.save("Mine", "def signals(bars):\n    return bars.close * 0 + 1\n")
    record = Record("bt-1", "mine", 2, {"sharpe": 1.5}, [{"side": "long"}], array("d", [1.0, 1.1]), chart=b"\x89PNG")
    Backtests(database).keep(record)
    add_document(database, "Rules / ../../etc/passwd", b"# Rules\n\nNever risk more than one percent.")
    with database.writing() as connection:
        connection.execute(
            "INSERT INTO imported_bars (symbol, instrument, csv_gz) VALUES ('MY/X', '{}', ?)", (gzip.compress(b"date"),)
        )


def rows_of(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table that is the user's."""
    with database.snapshot() as connection:
        return {
            table.name: connection.execute(f"SELECT * FROM {table.name} ORDER BY 1, 2").fetchall()
            for table in tables_of(connection)
        }


def archive_of(database: Database) -> bytes:
    file = database.folder / "archive.zip"
    file.unlink(missing_ok=True)
    write_archive(database, file)
    return file.read_bytes()


def changed(archive: bytes, change: Callable[[dict[str, bytes]], object]) -> io.BytesIO:
    """The archive with its files changed and its manifest made to agree, as somebody could who wants to do harm."""
    with zipfile.ZipFile(io.BytesIO(archive)) as old:
        files = {info.filename: old.read(info) for info in old.infolist()}
    change(files)
    manifest = json.loads(files.pop(MANIFEST))
    if isinstance(manifest, dict):
        manifest["entries"] = [
            {"path": path, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for path, content in files.items()
        ]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for path, content in files.items():
            new.writestr(path, content)
        new.writestr(MANIFEST, json.dumps(manifest))
    return out
