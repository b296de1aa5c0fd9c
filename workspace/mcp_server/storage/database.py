"""The user's data file.

One SQLite file and no others: SQLite already gives what a folder of JSON files would have to build by hand. A write is
whole or absent after any kill -9, an acknowledged write is on disk (WAL with synchronous=FULL syncs at each commit), a
page of history is one indexed read, and its full-text index (FTS5) searches memories and documents.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mcp_server.errors import DataReplaced, StorageFull, WorkspaceBusy
from mcp_server.storage.connection import FILE_NAME, PAGE_BYTES, open_file
from mcp_server.storage.erasing import clear_leftovers, erase_file, keep_to_erase, sync_folder
from mcp_server.storage.quota import MIB, TIER_BYTES, file_bytes

__all__ = ["FILE_NAME", "Database", "Usage", "timestamp"]

# What a deletion writes into the log before the file gives pages back; so long as this much is free, it has room.
FREE_FLOOR_BYTES = 64 * MIB

# SQLite's own bound: no bound of ours.
UNBOUNDED_PAGES = 0xFFFFFFFE


@dataclass(frozen=True, slots=True)
class Usage:
    """What is stored and what may be."""

    used_bytes: int
    quota_bytes: int


class Database:
    """One connection to the user's file, shared by the server's threads, one at a time.

    `quota_bytes` is the size of the user's volume, of which the file takes a part; None = the smallest tier's.
    Raises ForeignFolder when `folder` was made for another user, NewerFile when a newer version of the server wrote it.
    """

    def __init__(
        self, folder: Path, *, user: str, quota_bytes: int | None = None, free_floor_bytes: int = FREE_FLOOR_BYTES
    ) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self.user = user
        self.quota_bytes = TIER_BYTES["free"] if quota_bytes is None else quota_bytes
        self._most_pages = file_bytes(self.quota_bytes) // PAGE_BYTES
        self._free_floor_bytes = free_floor_bytes
        self._lock = threading.Lock()
        self._rebuilding = threading.Lock()
        # Which file this is: the first, or how manieth that took its place.
        self._generation = 0
        self._begun = threading.local()
        self._listeners: list[Callable[[], None]] = []
        clear_leftovers(folder)
        self._connection = self._open()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for statements that only read."""
        with self._lock:
            yield self._connection

    @contextmanager
    def writing(self, *, size_bytes: int = 0) -> Iterator[sqlite3.Connection]:
        """A transaction: on disk when the block is left, undone when it raises.

        Raises StorageFull where the quota or the disk has no room; one that stores much says before how much it is.
        Raises DataReplaced within `same_file`.
        """
        self.need_room(size_bytes)
        with self._lock:
            if getattr(self._begun, "generation", self._generation) != self._generation:
                raise DataReplaced
            with self._transaction():
                yield self._connection

    @contextmanager
    def same_file(self) -> Iterator[None]:
        """Within the block this thread writes to the file that is there now, or gets DataReplaced.

        For what takes long: what it began with must not come back after the user has deleted everything.
        """
        if hasattr(self._begun, "generation"):
            yield
            return
        self._begun.generation = self._generation
        try:
            yield
        finally:
            del self._begun.generation

    @contextmanager
    def rebuilding(self) -> Iterator[None]:
        """The block makes a file for `replace_with`. Raises WorkspaceBusy while another one does."""
        if not self._rebuilding.acquire(blocking=False):
            raise WorkspaceBusy
        try:
            yield
        finally:
            self._rebuilding.release()

    def on_replaced(self, listener: Callable[[], None]) -> None:
        """Have `listener` called whenever another file has taken this one's place."""
        self._listeners.append(listener)

    def need_room(self, size_bytes: int) -> None:
        """Raise StorageFull if the disk would have less than its floor free with this much more on it."""
        free = os.statvfs(self.folder)
        if free.f_bavail * free.f_frsize < self._free_floor_bytes + size_bytes:
            raise StorageFull

    def expect_room(self, size_bytes: int) -> None:
        """Raise StorageFull if so much more would not fit: for what takes long to make and is then stored."""
        self.need_room(size_bytes)
        with self._lock:
            used, spare = (
                self._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count")
            )
            if (self._most_pages - used + spare) * PAGE_BYTES < size_bytes:
                raise StorageFull

    @contextmanager
    def erasing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that gives room back: neither quota nor floor holds it up, for erasing takes some room first."""
        with self._lock:
            self._bound(UNBOUNDED_PAGES)
            try:
                with self._transaction():
                    yield self._connection
            finally:
                self._bound(self._most_pages)

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own that sees the file as it is now for as long as the block lasts, and only reads."""
        path = (self.folder / FILE_NAME).absolute().as_uri()
        with closing(sqlite3.connect(f"{path}?mode=ro", uri=True, isolation_level=None)) as connection:
            with self._lock:
                connection.execute("BEGIN")
                connection.execute("SELECT count(*) FROM about").fetchone()
            yield connection

    def usage(self) -> Usage:
        """Pages in use, without those that were given back and wait to be used again."""
        with self._lock:
            (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
            (free,) = self._connection.execute("PRAGMA freelist_count").fetchone()
        return Usage((pages - free) * PAGE_BYTES, self._most_pages * PAGE_BYTES)

    def scrub(self) -> None:
        """Empty the write-ahead log, so that what was deleted is not left in it."""
        with self._lock:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def replace_with(self, draft: Path, *, only_if: Callable[[sqlite3.Connection], bool] = bool) -> None:
        """Put the closed file in the folder `draft` in place of this one, all at once, and erase what was here.

        Raises WorkspaceBusy, with nothing changed, while somebody reads or writes the file, or if it no longer is as
        `only_if` demands.
        """
        with self._lock:
            if not only_if(self._connection):
                raise WorkspaceBusy
            busy, _, _ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise WorkspaceBusy
            self._connection.close()
            try:
                # Frames left in a log would be played back into the new file.
                if (self.folder / f"{FILE_NAME}-wal").exists():
                    raise WorkspaceBusy
                old = keep_to_erase(self.folder / FILE_NAME)
                (draft / FILE_NAME).replace(self.folder / FILE_NAME)
                self._generation += 1
                sync_folder(self.folder)
            finally:
                self._connection = self._open()
        for listener in self._listeners:
            listener()
        erase_file(old)

    def close(self) -> None:
        """Fold the write-ahead log into the file and let go of it."""
        with self._lock:
            self._connection.close()

    def _open(self) -> sqlite3.Connection:
        connection = open_file(self.folder, user=self.user)
        connection.execute(f"PRAGMA max_page_count = {self._most_pages}")
        return connection

    def _bound(self, pages: int) -> None:
        self._connection.execute(f"PRAGMA max_page_count = {pages}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise StorageFull from error
            raise
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def timestamp() -> str:
    """This moment as ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
