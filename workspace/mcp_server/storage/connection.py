"""Opening the user's file: its settings, its migrations, its owner."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from mcp_server.errors import ForeignFolder, NewerFile

FILE_NAME = "workspace.sqlite3"

# A second server on the folder (the old one still leaving while the new one comes) holds the file for milliseconds.
BUSY_TIMEOUT_S = 5.0

PAGE_BYTES = 4096

# The log of the largest single write (an import) may pass this; the next checkpoint cuts it back.
LOG_BYTES = 16 * 1024 * 1024

SETTINGS = f"""
PRAGMA page_size = {PAGE_BYTES};
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
PRAGMA secure_delete = ON;
PRAGMA cache_size = -2048;
PRAGMA temp_store = MEMORY;
PRAGMA journal_size_limit = {LOG_BYTES};
"""

# `NNNN_what.sql`, applied in order of their numbers; one that is published is never edited. The file's version is the
# number of the last one applied.
MIGRATIONS = Path(__file__).with_name("migrations")


def open_file(folder: Path, *, user: str) -> sqlite3.Connection:
    """A connection to the file in `folder`, made when it is missing. Raises ForeignFolder, NewerFile."""
    connection = sqlite3.connect(
        folder / FILE_NAME, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    try:
        connection.executescript(SETTINGS)
        _migrate(connection, user)
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, user: str) -> None:
    scripts = {int(path.name[:4]): path for path in MIGRATIONS.glob("[0-9][0-9][0-9][0-9]_*.sql")}
    connection.execute("BEGIN IMMEDIATE")
    try:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > max(scripts):
            raise NewerFile
        for number in sorted(scripts):
            if number > version:
                _run(connection, scripts[number].read_text(encoding="utf-8"))
        connection.execute(f"PRAGMA user_version = {max(scripts)}")
        connection.execute("INSERT OR IGNORE INTO about (key, value) VALUES ('user', ?)", (user,))
        owner: str = connection.execute("SELECT value FROM about WHERE key = 'user'").fetchone()[0]
        if owner != user:
            raise ForeignFolder
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _run(connection: sqlite3.Connection, script: str) -> None:
    # executescript would commit first, and a migration is whole or absent.
    for statement in script.split(";\n"):
        connection.execute(statement)
