"""Archives that are not restored: changed, broken, of others, too large; and a workspace that is left as it was."""

from __future__ import annotations

import gzip
import io
import json
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mcp_server.archive.erasure import count_rows
from mcp_server.archive.manifest import MANIFEST
from mcp_server.archive.reading import restore_archive
from mcp_server.errors import BadArchive, StorageFull, WorkspaceBusy
from mcp_server.storage.conversations import Conversations
from mcp_server.storage.database import Database
from mcp_server.storage.memories import Memories
from mcp_server.storage.quota import MIB
from mcp_server.tests.archives import archive_of, changed, furnish, rows_of
from mcp_server.tests.harness import USER


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Database]:
    """Another, empty file of the same user."""
    with closing(Database(tmp_path / "empty", user=USER)) as database:
        yield database


@pytest.fixture
def archive(database: Database) -> bytes:
    """An archive with a little of everything."""
    furnish(database)
    return archive_of(database)


def spoil_preferences(files: dict[str, bytes]) -> None:
    files["preferences/preferences-000001.jsonl"] = b'{"key": "language", "value": "17"}\n'


def spoil_message(files: dict[str, bytes]) -> None:
    row = json.loads(files["conversations/messages-000001.jsonl"])
    files["conversations/messages-000001.jsonl"] = json.dumps({**row, "body": "[1]"}).encode()


def spoil_column(files: dict[str, bytes]) -> None:
    files["memories/memories-000001.jsonl"] = b'{"id) VALUES (1); DROP TABLE memories; --": 1}\n'


def spoil_reference(files: dict[str, bytes]) -> None:
    row = json.loads(files["documents/documents-000001.jsonl"])
    row["content"] = {"file": "../../../etc/passwd", "text": False}
    files["documents/documents-000001.jsonl"] = json.dumps(row).encode()


def spoil_bars(files: dict[str, bytes]) -> None:
    files["bars/files/000001-MY_X.csv.gz"] = gzip.compress(bytes(100 * MIB))


def spoil_strategy(files: dict[str, bytes]) -> None:
    files["strategies/files/000001-mine-1.py"] = b"import os\n"


def spoil_manifest(**values: Any) -> Callable[[dict[str, bytes]], None]:
    def change(files: dict[str, bytes]) -> None:
        files[MANIFEST] = json.dumps({**json.loads(files[MANIFEST]), **values}).encode()

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (spoil_preferences, "damaged or was changed"),
        (spoil_message, "damaged or was changed"),
        (spoil_strategy, "not that of its digest"),
        (spoil_bars, "damaged or was changed"),
        (spoil_column, "damaged or was changed"),
        (spoil_reference, "damaged or was changed"),
        (spoil_manifest(user="stranger"), "another user's"),
        (spoil_manifest(format=2), "format is not known"),
        (spoil_manifest(data_version=9999), "newer server"),
        (spoil_manifest(more="keys"), "manifest is wrong"),
        (lambda files: files.update({MANIFEST: b"[]"}), "format is not known"),
        (lambda files: files.update({"../evil.jsonl": b"{}"}), "manifest is wrong"),
        (lambda files: files.update({"tables/about-000001.jsonl": b"{}"}), "no place for"),
        (lambda files: files.update({"tables/unknown-000001.jsonl": b"{}"}), "no place for"),
        (lambda files: files.update({"memories/memories-000002.jsonl": b"[" * 100_000}), "damaged or was changed"),
        (lambda files: files.update({"memories/memories-000002.jsonl": b'{"position": 1e999}'}), "damaged or was"),
        (
            lambda files: files.update({"memories/memories-000002.jsonl": b'{"position": ' + b"9" * 30 + b"}"}),
            "damaged",
        ),
        (lambda files: files.pop("conversations/conversations-000001.jsonl"), "damaged or was changed"),
    ],
)
def test_what_somebody_changed_is_refused_and_nothing_is_restored(
    archive: bytes, empty: Database, change: Callable[[dict[str, bytes]], object], told: str
) -> None:
    with pytest.raises(BadArchive, match=told):
        restore_archive(empty, changed(archive, change))

    assert count_rows(empty) == {}
    assert not list(empty.folder.glob("draft-*"))


@pytest.mark.parametrize("what", ["cut", "flipped", "no zip", "added", "twice", "bomb", "claim"])
def test_a_broken_zip_is_refused_and_nothing_is_restored(archive: bytes, empty: Database, what: str) -> None:
    out = io.BytesIO(archive)
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        names = file.namelist()
        place = file.getinfo("memories/memories-000001.jsonl").header_offset
    if what == "cut":
        out = io.BytesIO(archive[: len(archive) // 2])
    elif what == "flipped":
        out = io.BytesIO(archive[: place + 60] + bytes([archive[place + 60] ^ 0xFF]) + archive[place + 61 :])
    elif what == "no zip":
        out = io.BytesIO(b"x" * 1000)
    elif what == "claim":
        # The size that the central directory tells of the first file, 24 bytes into its record, made smaller.
        at = archive.index(b"PK\x01\x02") + 24
        out = io.BytesIO(archive[:at] + (1).to_bytes(4, "little") + archive[at + 4 :])
    else:
        with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as file, warnings.catch_warnings():
            # zipfile warns that a name is there twice, which is what is wanted here.
            warnings.simplefilter("ignore")
            name = names[0] if what == "twice" else "memories/memories-000009.jsonl"
            file.writestr(name, bytes(200 * MIB) if what == "bomb" else b"{}")

    with pytest.raises(BadArchive):
        restore_archive(empty, out)

    assert count_rows(empty) == {}


def test_a_workspace_that_holds_something_is_not_restored_over(archive: bytes, database: Database) -> None:
    before = rows_of(database)

    with pytest.raises(BadArchive, match="not empty"):
        restore_archive(database, io.BytesIO(archive))

    assert rows_of(database) == before


def test_what_is_written_while_a_restore_runs_is_not_lost(archive: bytes, empty: Database) -> None:
    class Slow(io.BytesIO):
        """An archive during whose last read somebody remembers something."""

        def read(self, size: int | None = -1, /) -> bytes:
            if not Memories(empty).count():
                Memories(empty).remember("Meanwhile", tags=[])
            return super().read(size)

    with pytest.raises(WorkspaceBusy):
        restore_archive(empty, Slow(archive))

    assert [memory.content for memory in Memories(empty).newest(5)] == ["Meanwhile"]


def test_what_does_not_fit_the_quota_is_refused_whole(database: Database, tmp_path: Path) -> None:
    for turn in range(30):
        message = {"role": "user", "content": f"{turn}" * 60_000}
        Conversations(database).append("main", turn=str(turn), messages=[message])
    archive = archive_of(database)

    with closing(Database(tmp_path / "small", user=USER, quota_bytes=2 * MIB)) as small:
        with pytest.raises(StorageFull):
            restore_archive(small, io.BytesIO(archive))
        assert count_rows(small) == {}
