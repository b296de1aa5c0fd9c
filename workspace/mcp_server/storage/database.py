"""The user's data file.

One SQLite file and no others: SQLite already gives what a folder of JSON files would have to build by hand. A write is
whole or absent after any kill -9, an acknowledged write is on disk (WAL with synchronous=FULL syncs at each commit), a
page of history is one indexed read, and its full-text index (FTS5) searches memories.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from mcp_server.errors import ForeignFolder, NewerFile, StorageFull

FILE_NAME = "workspace.sqlite3"

# A second server on the folder (the old one still leaving while the new one comes) holds the file for milliseconds.
BUSY_TIMEOUT_S = 5.0

SETTINGS = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
PRAGMA secure_delete = ON;
PRAGMA cache_size = -2048;
PRAGMA temp_store = MEMORY;
"""

# `NNNN_what.sql`, applied in order of their numbers; one that is published is never edited. The file's version is the
# number of the last one applied.
MIGRATIONS = Path(__file__).with_name("migrations")


class Database:
    """One connection to the user's file, shared by the server's threads, one at a time.

    Raises ForeignFolder when `folder` was made for another user, NewerFile when a newer version of the server wrote it.
    """

    def __init__(self, folder: Path, *, user: str) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            folder / FILE_NAME, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            self._connection.executescript(SETTINGS)
            self._migrate()
            self._claim(user)
        except BaseException:
            self._connection.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for statements that only read."""
        with self._lock:
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: on disk when the block is left, undone when it raises. Raises StorageFull."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                    raise StorageFull from error
                raise
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def scrub(self) -> None:
        """Empty the write-ahead log, so that what was deleted is not left in it."""
        with self._lock:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Fold the write-ahead log into the file and let go of it."""
        with self._lock:
            self._connection.close()

    def _migrate(self) -> None:
        scripts = {int(path.name[:4]): path for path in MIGRATIONS.glob("[0-9][0-9][0-9][0-9]_*.sql")}
        with self.writing() as connection:
            version: int = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > max(scripts):
                raise NewerFile
            for number in sorted(scripts):
                if number > version:
                    _run(connection, scripts[number].read_text(encoding="utf-8"))
            connection.execute(f"PRAGMA user_version = {max(scripts)}")

    def _claim(self, user: str) -> None:
        with self.writing() as connection:
            connection.execute("INSERT OR IGNORE INTO about (key, value) VALUES ('user', ?)", (user,))
            owner: str = connection.execute("SELECT value FROM about WHERE key = 'user'").fetchone()[0]
        if owner != user:
            raise ForeignFolder


def _run(connection: sqlite3.Connection, script: str) -> None:
    # executescript would commit first, and a migration is whole or absent.
    for statement in script.split(";\n"):
        connection.execute(statement)


def timestamp() -> str:
    """This moment as ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
