"""Deleting everything of a user for good, leaving an empty workspace that works."""

from __future__ import annotations

from contextlib import closing

from mcp_server.archive.exports import Exports
from mcp_server.archive.tables import tables_of
from mcp_server.storage.connection import FILE_NAME
from mcp_server.storage.database import Database
from mcp_server.storage.erasing import draft_folder, erase_file, erase_folder


def erase_everything(database: Database, exports: Exports) -> dict[str, int]:
    """Put an empty file in the old one's place and overwrite what was there; gives the number of rows by table.

    It happens all at once, needs no room, and is ended by the next start if a kill comes in between. Raises
    WorkspaceBusy.
    """
    with database.rebuilding():
        return _erase(database, exports)


def _erase(database: Database, exports: Exports) -> dict[str, int]:
    exports.clear()
    rows = count_rows(database)
    draft = draft_folder(database.folder)
    try:
        Database(draft, user=database.user, quota_bytes=database.quota_bytes, free_floor_bytes=0).close()
        database.replace_with(draft)
    finally:
        erase_folder(draft)
    for each in database.folder.iterdir():
        if each.is_dir() and not each.is_symlink():
            erase_folder(each)
        elif each.is_symlink() or not each.name.startswith(FILE_NAME):
            each.unlink() if each.is_symlink() else erase_file(each)
    return rows


def count_rows(database: Database) -> dict[str, int]:
    """How much there is, by table; tables without a row are left out."""
    with database.snapshot() as connection, closing(connection.cursor()) as cursor:
        counted = {
            table.name: cursor.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0]
            for table in tables_of(connection)
        }
    return {name: count for name, count in counted.items() if count}
