"""Archives that wait to be fetched: files in the data folder, for an hour, then overwritten."""

from __future__ import annotations

import re
import secrets
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mcp_server.archive.writing import digest_of, write_archive
from mcp_server.errors import UnknownExport
from mcp_server.storage.database import Database
from mcp_server.storage.erasing import erase_folder
from mcp_server.storage.quota import MIB

FOLDER = "exports"
LIFETIME = timedelta(hours=1)

# In base64 a part stays below half of the 4 MiB that the gateway takes of one response.
PART_BYTES = 1 * MIB

# Far more than the largest quota has.
MOST_PARTS = 1_000_000

ID = re.compile(r"exp-[0-9a-f]{24}")


@dataclass(frozen=True, slots=True)
class Export:
    """An archive that can be fetched in `parts` parts, the last of them shorter; times are ISO 8601 in UTC."""

    id: str
    size_bytes: int
    sha256: str
    parts: int
    entries: int
    exported_at: str
    expires_at: str


class Exports:
    """The user's archives, the newest only: another takes its place, and after an hour it is gone."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._folder = database.folder / FOLDER
        self._lock = threading.Lock()
        self._end: threading.Timer | None = None
        self.clear()

    def make(self) -> Export:
        """Write an archive of everything. Raises StorageFull."""
        with self._lock:
            self._clear()
            self._folder.mkdir(mode=0o700, parents=True)
            identity = f"exp-{secrets.token_hex(12)}"
            file = self._file(identity)
            try:
                manifest = write_archive(self._database, file)
            except BaseException:
                erase_folder(self._folder)
                raise
            self._end = threading.Timer(LIFETIME.total_seconds(), self.clear)
            self._end.daemon = True
            self._end.start()
            size = file.stat().st_size
        return Export(
            identity,
            size,
            digest_of(file),
            parts=-(-size // PART_BYTES),
            entries=len(manifest.entries),
            exported_at=manifest.exported_at,
            expires_at=(datetime.now(UTC) + LIFETIME).isoformat(timespec="seconds").replace("+00:00", "Z"),
        )

    def part(self, export: str, number: int) -> bytes:
        """A part of an archive, from 1. Raises UnknownExport."""
        if not ID.fullmatch(export) or not 1 <= number <= MOST_PARTS:
            raise UnknownExport
        try:
            with self._file(export).open("rb") as stream:
                stream.seek((number - 1) * PART_BYTES)
                content = stream.read(PART_BYTES)
        except FileNotFoundError as error:
            raise UnknownExport from error
        if not content:
            raise UnknownExport
        return content

    def clear(self) -> None:
        """Erase every archive."""
        with self._lock:
            self._clear()

    def _clear(self) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None
        erase_folder(self._folder)

    def _file(self, export: str) -> Path:
        return self._folder / f"{export}.zip"
