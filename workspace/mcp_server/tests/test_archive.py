"""Export, restore and delete: everything, whole, for good."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp.client import Client

from mcp_server.archive.erasure import count_rows, erase_everything
from mcp_server.archive.exports import FOLDER, PART_BYTES, Exports
from mcp_server.archive.manifest import MANIFEST
from mcp_server.archive.reading import restore_archive
from mcp_server.archive.tables import DERIVED, KNOWN, tables_of
from mcp_server.errors import StorageFull, UnknownExport
from mcp_server.storage.conversations import Conversations
from mcp_server.storage.database import FILE_NAME, Database
from mcp_server.storage.memories import Memories
from mcp_server.storage.preferences import Preferences, PreferenceStore
from mcp_server.storage.quota import MIB
from mcp_server.strategies.store import Strategies
from mcp_server.tests.archives import add_document, archive_of, furnish, rows_of
from mcp_server.tests.harness import USER, WORKSPACE, RunningServer, call, refusal, running_server

SOURCES = st.builds("def signals(bars):\n    return bars.close * {}  # \u00e9\n".format, st.integers(-9, 9))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)


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


def assert_alike(one: Database, two: Database) -> None:
    """Both stores find the same, so what is made from the rows is there again too."""
    for memory in Memories(one).newest(10):
        if memory.content.isalnum():
            query = memory.content[:100]
            assert Memories(two).search(query, limit=9) == Memories(one).search(query, limit=9)
    for strategy in Strategies(one).newest():
        assert Strategies(two).find(strategy.name) == Strategies(one).find(strategy.name)
        assert Strategies(two).versions(strategy.name) == Strategies(one).versions(strategy.name)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    memories=st.lists(st.tuples(TEXT, st.lists(TEXT, max_size=3)), max_size=6),
    turns=st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=8),
    language=st.sampled_from(["de", "pt-BR", None]),
    strategies=st.dictionaries(st.sampled_from("abc"), st.lists(SOURCES, min_size=1, max_size=4), max_size=3),
    documents=st.dictionaries(TEXT, TEXT.filter(str.isprintable).filter(str.strip), max_size=3),
)
def test_a_restored_export_is_the_same_workspace(
    tmp_path_factory: pytest.TempPathFactory,
    memories: list[tuple[str, list[str]]],
    turns: list[tuple[str, str, str]],
    language: str | None,
    documents: dict[str, str],
    strategies: dict[str, list[str]],
) -> None:
    """Source: an export restored into an empty workspace gives the same strategies, memories, conversations, preferences."""
    folder = tmp_path_factory.mktemp("archive")
    with (
        closing(Database(folder / "one", user=USER)) as one,
        closing(Database(folder / "two", user=USER)) as two,
    ):
        for content, tags in memories:
            Memories(one).remember(content, tags=tags)
        for conversation, turn, content in turns:
            Conversations(one).append(conversation, turn=turn, messages=[{"role": "user", "content": content}])
        PreferenceStore(one).change(Preferences(language=language))
        for name, sources in strategies.items():
            for source in sources:
                Strategies(one).save(name, source)
        for name, text in documents.items():
            add_document(one, name, text.encode())

        counted = restore_archive(two, io.BytesIO(archive_of(one)))

        assert rows_of(two) == rows_of(one)
        assert counted == count_rows(one)
        assert_alike(one, two)
        Conversations(two).append("new", turn="t", messages=[{"role": "user", "content": "goes on"}])


def test_every_table_is_carried_or_known_to_be_made_again(database: Database) -> None:
    """Source: the export holds everything; a table that comes later is carried without being named."""
    with database.writing() as connection:
        connection.execute("CREATE TABLE later (id INTEGER PRIMARY KEY, body BLOB, of TEXT REFERENCES conversations)")
    with database.snapshot() as connection:
        names = [table.name for table in tables_of(connection)]
        known = {name for (name,) in connection.execute("SELECT name FROM pragma_table_list WHERE schema = 'main'")}
        virtual = {name for (name,) in connection.execute("SELECT name FROM pragma_table_list WHERE type = 'virtual'")}

    assert {*names, *DERIVED} >= {name for name in known if not name.startswith(("sqlite_", "memory_w", "passage_w"))}
    assert virtual == {"memory_words", "passage_words"}
    assert names.index("conversations") < names.index("later")
    assert len(names) == len(set(names))
    assert {table.name for table in KNOWN} <= {*names}


def test_the_archive_is_laid_out_as_the_documentation_says(archive: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        names = file.namelist()
        manifest = json.loads(file.read(MANIFEST))
        document = file.read("documents/files/000001-Rules_etc_passwd.md")
        row = json.loads(file.read("documents/documents-000001.jsonl"))

    assert names == [*(entry["path"] for entry in manifest["entries"]), MANIFEST]
    assert {
        "memories/memories-000001.jsonl",
        "conversations/messages-000001.jsonl",
        "bars/files/000001-MY_X.csv.gz",
        "strategies/files/000002-mine-2.py",
        "backtests/files/000001-bt-1.png",
    } <= {*names}
    assert (manifest["format"], manifest["user"]) == (1, USER)
    assert document.startswith(b"# Rules")
    assert row["content"] == {"file": "documents/files/000001-Rules_etc_passwd.md", "text": False}


def test_a_large_table_is_written_in_parts(database: Database, empty: Database) -> None:
    for turn in range(30):
        message = {"role": "user", "content": f"{turn}" * 60_000}
        Conversations(database).append("main", turn=str(turn), messages=[message])

    archive = archive_of(database)

    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        parts = [info for info in file.infolist() if "messages-" in info.filename]
    assert len(parts) > 2
    assert max(part.file_size for part in parts) < 1.2 * MIB
    restore_archive(empty, io.BytesIO(archive))
    assert rows_of(empty) == rows_of(database)


def test_an_export_is_cleared_by_the_next_one_and_at_the_next_start(database: Database) -> None:
    exports = Exports(database)
    first = exports.make()
    second = exports.make()

    with pytest.raises(UnknownExport):
        exports.part(first.id, 1)
    assert hashlib.sha256(exports.part(second.id, 1)).hexdigest() == second.sha256
    for wrong in (("exp-../../x", 1), (second.id, 2), (second.id, 0), (second.id, 2**80)):
        with pytest.raises(UnknownExport):
            exports.part(*wrong)
    with pytest.raises(UnknownExport):
        Exports(database).part(second.id, 1)
    assert not (database.folder / FOLDER).exists()


def test_deleting_everything_leaves_no_trace_and_a_workspace_that_works(tmp_path: Path) -> None:
    database = Database(tmp_path, user=USER, quota_bytes=4 * MIB)
    furnish(database)
    Memories(database).remember("The passphrase is xylophone-marmalade", tags=[])
    exports = Exports(database)
    exports.make()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "bars").write_bytes(b"marmalade")

    erased = erase_everything(database, exports)

    assert erased["memories"] == 2
    assert count_rows(database) == {}
    assert {file.name for file in tmp_path.iterdir()} <= {FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm"}
    assert not any(b"marmalade" in file.read_bytes() for file in tmp_path.iterdir())
    furnish(database)
    database.close()
    with closing(Database(tmp_path, user=USER)) as again:
        assert Memories(again).count() == 1


def test_everything_can_be_deleted_when_the_storage_is_full(tmp_path: Path) -> None:
    with closing(Database(tmp_path, user=USER, quota_bytes=2 * MIB)) as database:
        conversations, long = Conversations(database), [{"role": "user", "content": "x" * 100_000}]
        with suppress(StorageFull):
            for turn in range(100):
                conversations.append(str(turn), turn="t", messages=long)
        assert conversations.count() < 100

        assert erase_everything(database, Exports(database))["conversations"] > 5
        conversations.append("main", turn="t", messages=long)


async def fetched(client: Client, export: dict[str, Any]) -> bytes:
    """The archive, read as any client would."""
    content = b""
    for part in range(1, export["parts"] + 1):
        resource = (await client.read_resource(f"{export['uri']}/{part}")).contents[0]
        content += base64.b64decode(resource.blob)  # type: ignore[union-attr]  # bytes come as a blob
    return content


async def test_an_export_moves_a_workspace_to_another_server(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with running_server(tmp_path / "one", key) as one, running_server(tmp_path / "two", key) as two:
        async with one.client() as source, two.client() as target:
            await call(source, "remember", content="Trades in the morning")
            export = await call(source, "export_data")
            content = await fetched(source, export)
            assert (len(content), hashlib.sha256(content).hexdigest()) == (export["size_bytes"], export["sha256"])

            again = base64.b64encode(content).decode()
            assert (await call(target, "import_data", archive_base64=again))["restored"] == {"memories": 1}
            assert await call(target, "list_memories") == await call(source, "list_memories")
            assert "not empty" in await refusal(target, "import_data", archive_base64=again)

            assert "id of the workspace's user" in await refusal(target, "delete_data", confirm="yes")
            assert (await call(target, "delete_data", confirm=USER))["erased"] == {"memories": 1}
            assert (await call(target, "import_data", archive_base64=again))["restored"] == {"memories": 1}


def restored_by_command(folder: Path, *, user: str) -> subprocess.CompletedProcess[str]:
    """Restore `archive.zip` into `data`, both in the folder."""
    command = [sys.executable, "-m", "mcp_server.restore", "--data", str(folder / "data"), "--user", user]
    return subprocess.run(
        [*command, str(folder / "archive.zip")], check=False, cwd=WORKSPACE, capture_output=True, text=True
    )


async def test_a_large_export_is_fetched_in_parts_and_restored_by_the_command(
    server: RunningServer, client: Client, tmp_path: Path
) -> None:
    for number in range(12):
        text = "".join(hashlib.sha256(f"{number}{at}".encode()).hexdigest() for at in range(3900))
        messages = [{"role": "user", "content": text}]
        await call(client, "append_messages", conversation="main", turn=str(number), messages=messages)

    result = await client.call_tool("export_data", {}, read_timeout_seconds=60)
    export = result.structured_content
    assert export is not None
    link = result.content[1]
    assert (link.type, str(link.uri)) == ("resource_link", f"{export['uri']}/1")  # type: ignore[union-attr]
    assert export["parts"] == -(-export["size_bytes"] // PART_BYTES) >= 2
    (tmp_path / "archive.zip").write_bytes(await fetched(client, export))

    done, other = (restored_by_command(tmp_path, user=user) for user in (USER, "stranger"))

    assert json.loads(done.stdout)["restored"]["messages"] == 12, done.stderr
    assert (other.returncode, "another user" in other.stderr) == (1, True)
    with closing(Database(tmp_path / "data", user=USER)) as restored:
        assert Conversations(restored).page("main", limit=1).total == 12


async def test_an_export_that_is_not_there_is_told(client: Client) -> None:
    with pytest.raises(Exception, match="no such export or part"):
        await client.read_resource("export://exp-000000000000000000000000/1")
