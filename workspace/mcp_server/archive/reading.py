"""Restoring an archive into an empty workspace: checked strictly, and all of it or nothing."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zipfile
import zlib
from contextlib import closing
from typing import IO

from pydantic import ValidationError

from mcp_server.archive.manifest import MANIFEST, Manifest
from mcp_server.archive.tables import Table, restore_part, tables_of
from mcp_server.errors import BadArchive
from mcp_server.storage.database import Database
from mcp_server.storage.erasing import draft_folder, erase_folder
from mcp_server.storage.quota import MIB

# The largest that a server writes is a document or a table's part with one long row.
MOST_ENTRY_BYTES = 32 * MIB
MOST_ENTRIES = 200_000
MOST_MANIFEST_BYTES = 64 * MIB

COMPRESSIONS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
ENCRYPTED = 0x1


def restore_archive(database: Database, file: IO[bytes]) -> dict[str, int]:
    """Put all of the archive into the empty `database`; gives the number of rows by table.

    Raises BadArchive, WorkspaceBusy or StorageFull, and then nothing has changed.
    """
    if not is_empty(database):
        raise BadArchive("This workspace is not empty. Restore into a new one, or delete_data first.")
    with database.rebuilding():
        draft = draft_folder(database.folder)
        try:
            with closing(Database(draft, user=database.user, quota_bytes=database.quota_bytes)) as fresh:
                rows = _fill(fresh, file)
            database.replace_with(draft, only_if=_holds_nothing)
        finally:
            erase_folder(draft)
    return rows


def is_empty(database: Database) -> bool:
    """Whether the user has stored nothing yet."""
    with database.reading() as connection:
        return _holds_nothing(connection)


def _holds_nothing(connection: sqlite3.Connection) -> bool:
    tables = tables_of(connection)
    return not any(connection.execute(f"SELECT 1 FROM {table.name} LIMIT 1").fetchone() for table in tables)


def _fill(fresh: Database, file: IO[bytes]) -> dict[str, int]:
    try:
        with zipfile.ZipFile(file) as archive:
            return _restore(fresh, archive, _manifest(archive, user=fresh.user))
    except sqlite3.OperationalError as error:
        raise BadArchive(f"The archive does not fit this server: {error}.") from error
    # What zipfile and json raise on files that somebody has changed, and SQLite on rows that no table holds.
    except (
        *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, sqlite3.Error),
        *(ValueError, TypeError, LookupError, OverflowError, AttributeError, RecursionError),
    ) as error:
        raise BadArchive(f"The archive is damaged or was changed: {str(error)[:200]}.") from error


def _manifest(archive: zipfile.ZipFile, *, user: str) -> Manifest:
    info = archive.getinfo(MANIFEST) if MANIFEST in archive.NameToInfo else None
    if info is None or info.file_size > MOST_MANIFEST_BYTES:
        raise BadArchive("The file is no export of a workspace: it has no manifest.json.")
    raw = json.loads(_content(archive, info))
    if not isinstance(raw, dict) or raw.get("format") != 1:
        raise BadArchive("The archive's format is not known to this server. Restore it with the server that wrote it.")
    try:
        manifest = Manifest.model_validate(raw)
    except ValidationError as error:
        raise BadArchive(f"The archive's manifest is wrong: {error.errors()[0]['msg']}.") from error
    if manifest.user != user:
        raise BadArchive("The archive is another user's. It can be restored only into a workspace of that user.")
    _check_entries(archive, manifest)
    return manifest


def _check_entries(archive: zipfile.ZipFile, manifest: Manifest) -> None:
    """Hold the zip's own list against the manifest before any of it is unpacked."""
    listed = archive.infolist()
    promised = {entry.path: entry.bytes for entry in manifest.entries}
    if len(listed) > MOST_ENTRIES or len(promised) != len(manifest.entries) or len(listed) != len(promised) + 1:
        raise BadArchive("The archive holds other files than its manifest says.")
    for info in listed:
        if info.filename == MANIFEST:
            continue
        if promised.get(info.filename) != info.file_size or info.file_size > MOST_ENTRY_BYTES:
            raise BadArchive("The archive holds other files than its manifest says.")


def _restore(fresh: Database, archive: zipfile.ZipFile, manifest: Manifest) -> dict[str, int]:
    with fresh.reading() as connection:
        tables = {f"{table.folder}/{table.name}": table for table in tables_of(connection)}
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    if manifest.data_version > version:
        raise BadArchive("The archive was written by a newer server. Restore it with that version or a later one.")
    entries = {entry.path: entry for entry in manifest.entries}
    rows: dict[str, int] = {}

    def read(path: str) -> bytes:
        content = _content(archive, archive.getinfo(path))
        if hashlib.sha256(content).hexdigest() != entries[path].sha256:
            raise BadArchive(f"{path} in the archive is not what its manifest says.")
        return content

    for path in entries:
        if path.endswith(".jsonl"):
            table, content = _table_of(path, tables), read(path)
            with fresh.writing(size_bytes=len(content)) as connection:
                added = restore_part(connection, table, content.splitlines(), read=read)
            rows[table.name] = rows.get(table.name, 0) + added
    return rows


def _table_of(path: str, tables: dict[str, Table]) -> Table:
    found = tables.get(path.rpartition("-")[0])
    if found is None:
        raise BadArchive(f"This server has no place for {path}. Restore the archive with the server that wrote it.")
    return found


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.flag_bits & ENCRYPTED or info.compress_type not in COMPRESSIONS:
        raise BadArchive("The archive is encrypted or packed in another way than this server does.")
    with archive.open(info) as stream:
        # The size that the zip claims is only a claim.
        content = stream.read(info.file_size + 1)
    if len(content) != info.file_size:
        raise BadArchive(f"{info.filename[:100]} in the archive is larger than it says.")
    return content
