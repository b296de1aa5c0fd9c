"""A process that works on a data folder by chance and says what is done; and what the folder must then hold.

`python -m mcp_server.tests.crash_child FOLDER SEED COUNT`: a line with the operation's number when it is on disk.
"""

from __future__ import annotations

import io
import os
import random
import sys
import tempfile
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp_server.archive.erasure import erase_everything
from mcp_server.archive.exports import Exports
from mcp_server.archive.reading import is_empty, restore_archive
from mcp_server.archive.writing import write_archive
from mcp_server.documents.reading import read_document
from mcp_server.storage.conversations import Conversations
from mcp_server.storage.database import Database
from mcp_server.storage.documents import Documents
from mcp_server.storage.memories import Memories
from mcp_server.storage.preferences import Preferences, PreferenceStore
from mcp_server.tests.crash_points import stop_at_changes
from mcp_server.tests.jobs_in_place import JobsInPlace

USER = "demo-pro"
Operation = tuple[str, str, str]

KINDS = (
    *("append",) * 5,
    *("remember", "forget", "prefer", "summarise", "document", "undocument") * 2,
    *("discard", "export", "erase", "restore", "reopen"),
)


@dataclass
class State:
    """What a folder holds, as its user would tell it."""

    memories: list[str] = field(default_factory=list)
    conversations: dict[str, list[str]] = field(default_factory=dict)
    summaries: dict[str, str] = field(default_factory=dict)
    preferences: dict[str, Any] = field(default_factory=dict)
    documents: dict[str, str] = field(default_factory=dict)


def operations(seed: int, count: int) -> list[Operation]:
    """What is done, in order."""
    chance = random.Random(seed)  # noqa: S311 - nobody must not guess it
    made = []
    for number in range(count):
        kind = chance.choice(KINDS)
        name = chance.choice("abc")
        # Now and then more than a page, and now and then more than what the log is folded into the file for.
        size = chance.choice((1, 1, 1, 3000, 60_000))
        made.append((kind, name, f"{kind} {number} " + "words of it " * (size // 12)))
    return made


class Worker:
    """Does the operations on a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.database = Database(folder, user=USER)
        self._archive: bytes | None = None

    def do(self, operation: Operation) -> None:
        """Do it; when this returns it is on disk."""
        kind, name, text = operation
        getattr(self, f"_{kind}")(name, text)

    def _append(self, name: str, text: str) -> None:
        Conversations(self.database).append(name, turn=text, messages=[{"role": "user", "content": text}] * 2)

    def _summarise(self, name: str, text: str) -> None:
        conversations = Conversations(self.database)
        last = conversations.page(name, limit=1).last
        if last is not None:
            conversations.summarise(name, text=text, up_to=last)

    def _discard(self, name: str, _text: str) -> None:
        Conversations(self.database).delete(name)

    def _remember(self, name: str, text: str) -> None:
        Memories(self.database).remember(text, tags=[name])

    def _forget(self, _name: str, _text: str) -> None:
        for memory in Memories(self.database).newest(1):
            Memories(self.database).forget(memory.id)

    def _prefer(self, _name: str, text: str) -> None:
        PreferenceStore(self.database).change(Preferences(model=text[:99]))

    def _document(self, name: str, text: str) -> None:
        Documents(self.database).save(name, text.encode(), read_document(text.encode(), JobsInPlace()))

    def _undocument(self, name: str, _text: str) -> None:
        Documents(self.database).delete(name)

    def _export(self, _name: str, _text: str) -> None:
        with tempfile.TemporaryDirectory() as elsewhere:
            write_archive(self.database, Path(elsewhere) / "archive.zip")
            self._archive = (Path(elsewhere) / "archive.zip").read_bytes()

    def _erase(self, _name: str, _text: str) -> None:
        erase_everything(self.database, Exports(self.database))

    def _restore(self, _name: str, _text: str) -> None:
        if self._archive is not None and is_empty(self.database):
            restore_archive(self.database, io.BytesIO(self._archive))

    def _reopen(self, _name: str, _text: str) -> None:
        self.database.close()
        self.database = Database(self._folder, user=USER)


class Expected:
    """What the folder must hold after each operation."""

    def __init__(self) -> None:
        self.state = State()
        self._exported: State | None = None

    def do(self, operation: Operation) -> State:
        """What it must hold after this one."""
        kind, name, text = operation
        getattr(self, f"_{kind}")(name, text)
        return deepcopy(self.state)

    def _append(self, name: str, text: str) -> None:
        self.state.conversations.setdefault(name, []).extend([text] * 2)

    def _summarise(self, name: str, text: str) -> None:
        if name in self.state.conversations:
            self.state.summaries[name] = text

    def _discard(self, name: str, _text: str) -> None:
        self.state.conversations.pop(name, None)
        self.state.summaries.pop(name, None)

    def _remember(self, _name: str, text: str) -> None:
        self.state.memories.append(text)

    def _forget(self, _name: str, _text: str) -> None:
        del self.state.memories[-1:]

    def _prefer(self, _name: str, text: str) -> None:
        self.state.preferences["model"] = text[:99]

    def _document(self, name: str, text: str) -> None:
        self.state.documents[name] = text

    def _undocument(self, name: str, _text: str) -> None:
        self.state.documents.pop(name, None)

    def _export(self, _name: str, _text: str) -> None:
        self._exported = deepcopy(self.state)

    def _erase(self, _name: str, _text: str) -> None:
        self.state = State()

    def _restore(self, _name: str, _text: str) -> None:
        if self._exported is not None and self.state == State():
            self.state = deepcopy(self._exported)

    def _reopen(self, _name: str, _text: str) -> None:
        pass


def found_in(database: Database) -> State:
    """What the folder holds. Raises AssertionError for an index that does not agree with what it is of."""
    memories, conversations, documents = Memories(database), Conversations(database), Documents(database)
    state = State(memories=[memory.content for memory in reversed(memories.newest(10_000))])
    for heading in conversations.newest(100):
        page = conversations.page(heading.id, limit=10_000)
        state.conversations[heading.id] = _whole(conversations, heading.id)
        if page.summary:
            state.summaries[heading.id] = page.summary.text
        assert heading.messages == len(state.conversations[heading.id])
    preferences = PreferenceStore(database).read().model_dump(exclude_none=True)
    state.preferences = preferences
    with database.reading() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        connection.execute("INSERT INTO memory_words (memory_words) VALUES ('integrity-check')")
        connection.execute("INSERT INTO passage_words (passage_words, rank) VALUES ('integrity-check', 1)")
        rows = connection.execute("SELECT name, content FROM documents").fetchall()
    state.documents = {name: content.decode() for name, content in rows}
    assert len(memories.search("remember", limit=10_000)) == len(state.memories)
    assert {found.document for found in documents.passages(documents.matching("document", limit=10_000)).values()} == {
        *state.documents
    }
    return state


def _whole(conversations: Conversations, name: str) -> list[str]:
    found: list[str] = []
    before = None
    while True:
        page = conversations.page(name, limit=200, before=before)
        found = [*(message["content"] for message in page.messages), *found]
        before = page.before
        if before is None:
            return found


def main() -> None:
    folder, seed, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    stop_at_changes()
    worker = Worker(folder)
    for number, operation in enumerate(operations(seed, count)):
        worker.do(operation)
        os.write(1, f"{number}\n".encode())
    with closing(worker.database):
        pass


if __name__ == "__main__":
    main()
