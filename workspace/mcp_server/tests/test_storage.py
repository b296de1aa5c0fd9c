"""The data file: bounded before the disk is full, erased for good, replaced whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mcp_server.errors import StorageFull, WorkspaceBusy
from mcp_server.storage.connection import LOG_BYTES
from mcp_server.storage.conversations import Conversations
from mcp_server.storage.database import FILE_NAME, Database
from mcp_server.storage.erasing import draft_folder
from mcp_server.storage.memories import Memories
from mcp_server.storage.quota import GIB, MIB, TIER_BYTES, file_bytes
from mcp_server.tests.harness import USER

QUOTA = 4 * MIB
LONG = [{"role": "user", "content": "x" * 100_000}]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Database]:
    """A file with room for about thirty long messages."""
    with closing(Database(tmp_path, user=USER, quota_bytes=QUOTA)) as database:
        yield database


def fill(conversations: Conversations) -> int:
    """Append until there is no room; gives the number of turns that were stored."""
    for turn in range(1000):
        try:
            conversations.append(f"c{turn}", turn="t", messages=LONG)
        except StorageFull:
            return turn
    raise AssertionError("never full")


def test_the_file_stays_below_its_tiers_volume() -> None:
    """Source: the volume that Kubernetes gives has the tier's size, and the log and the filesystem need some of it."""
    assert {tier: size // GIB for tier, size in TIER_BYTES.items()} == {"free": 1, "pro": 10, "enterprise": 50}
    assert {tier: (size - file_bytes(size)) // MIB for tier, size in TIER_BYTES.items()} == {
        "free": 128,
        "pro": 1024,
        "enterprise": 1024,
    }


def test_a_full_quota_is_told_and_what_was_stored_stays(small: Database, tmp_path: Path) -> None:
    conversations = Conversations(small)

    stored = fill(conversations)

    assert stored > 20
    assert (tmp_path / FILE_NAME).stat().st_size <= file_bytes(QUOTA)
    assert conversations.count() == stored
    with pytest.raises(StorageFull, match="deleting always works"):
        Memories(small).remember("x" * 4000 * 30, tags=[])


def test_deleting_works_when_full_and_makes_room(small: Database) -> None:
    """Source: a deletion writes pages too (the search index, zeros over the text), which a full file does not have."""
    memories, conversations = Memories(small), Conversations(small)
    kept = [memories.remember(f"fact {number} {'word ' * 500}", tags=[]) for number in range(120)]
    fill(conversations)
    full = small.usage()

    for memory in kept:
        assert memories.forget(memory.id)
    assert conversations.delete("c0") == 1

    assert memories.count() == 0
    assert small.usage().used_bytes < full.used_bytes - MIB // 2
    assert small.usage().quota_bytes == file_bytes(QUOTA)
    conversations.append("c0", turn="t", messages=LONG)


def test_the_disk_keeps_a_floor_free_that_deleting_may_use(tmp_path: Path) -> None:
    database = Database(tmp_path, user=USER)
    memory = Memories(database).remember("A fact", tags=[])
    database.close()

    with closing(Database(tmp_path, user=USER, free_floor_bytes=2**62)) as short:
        with pytest.raises(StorageFull):
            Memories(short).remember("Another", tags=[])
        assert Memories(short).forget(memory.id)


def test_the_log_of_many_writes_stays_bounded(tmp_path: Path) -> None:
    with closing(Database(tmp_path, user=USER)) as database:
        conversations = Conversations(database)
        for turn in range(400):
            conversations.append("main", turn=str(turn), messages=LONG)

        assert database.usage().used_bytes > 2 * LOG_BYTES
        assert (tmp_path / f"{FILE_NAME}-wal").stat().st_size <= LOG_BYTES


def test_a_replaced_file_leaves_no_trace(tmp_path: Path) -> None:
    database = Database(tmp_path, user=USER)
    Memories(database).remember("The passphrase is xylophone-marmalade", tags=[])
    draft = draft_folder(tmp_path)
    other = Database(draft, user=USER)
    kept = Memories(other).remember("Something else", tags=[])
    other.close()

    database.replace_with(draft)

    assert Memories(database).newest(5) == [kept]
    database.close()
    assert not any(b"marmalade" in file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert not list(tmp_path.glob("erased-*"))


def test_a_file_that_others_have_open_is_not_replaced(tmp_path: Path) -> None:
    with closing(Database(tmp_path, user=USER)) as database, closing(Database(tmp_path, user=USER)) as other:
        kept = Memories(database).remember("A fact", tags=[])
        draft = draft_folder(tmp_path)
        Database(draft, user=USER).close()

        with pytest.raises(WorkspaceBusy):
            database.replace_with(draft)

        assert Memories(database).newest(5) == Memories(other).newest(5) == [kept]


def test_a_snapshot_does_not_see_what_is_written_meanwhile(database: Database) -> None:
    memories = Memories(database)
    memories.remember("Before", tags=[])

    with database.snapshot() as frozen:
        memories.remember("Meanwhile", tags=[])
        assert frozen.execute("SELECT content FROM memories").fetchall() == [("Before",)]

    assert memories.count() == 2
