"""The user's documents: the file as it came, and its passages with full-text search."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mcp_server.documents.passages import Passage
from mcp_server.documents.reading import Content
from mcp_server.errors import BadDocument
from mcp_server.storage.database import Database, timestamp
from mcp_server.storage.words import match_of

# A list that a model reads whole.
MOST_DOCUMENTS = 500

LIST = """
SELECT name, kind, pages, length(content), added_at,
    (SELECT count(*) FROM passages WHERE passages.document = documents.position)
FROM documents
"""
BY_WORDS = """
SELECT rowid FROM passage_words WHERE passage_words MATCH ? ORDER BY bm25(passage_words), rowid LIMIT ?
"""
BY_POSITION = """
SELECT documents.name, documents.kind, passages.text, passages.line, passages.page
FROM passages JOIN documents ON documents.position = passages.document WHERE passages.position = ?
"""
# The index keeps no text of its own: to forget a passage's words it must be told them again
# (https://www.sqlite.org/fts5.html#external_content_tables).
UNINDEX = """
INSERT INTO passage_words (passage_words, rowid, text)
SELECT 'delete', position, text FROM passages WHERE document = ?
"""


@dataclass(frozen=True, slots=True)
class Document:
    """A document in the list; `added_at` is ISO 8601 in UTC."""

    name: str
    kind: str
    pages: int | None
    size_bytes: int
    added_at: str
    passages: int


@dataclass(frozen=True, slots=True)
class Found:
    """A passage and the document that it is from."""

    document: str
    kind: str
    passage: Passage


class Documents:
    """Documents in the user's file, each name once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def expect_room(self, size_bytes: int) -> None:
        """Raise StorageFull before a file is read that there would be no room for."""
        self._database.expect_room(size_bytes)

    def save(self, name: str, content: bytes, read: Content) -> Document:
        """Keep the document whole, in place of one of the same name. Raises BadDocument when there are too many."""
        with self._database.writing(size_bytes=3 * len(content)) as connection:
            replaced = _remove(connection, name)
            (count,) = connection.execute("SELECT count(*) FROM documents").fetchone()
            if count >= MOST_DOCUMENTS:
                raise BadDocument(f"There are {MOST_DOCUMENTS} documents, which is the most. Delete some first.")
            (document,) = connection.execute(
                "INSERT INTO documents (name, kind, pages, added_at, content) VALUES (?, ?, ?, ?, ?) RETURNING position",
                (name, read.kind, read.pages, timestamp(), content),
            ).fetchone()
            for passage in read.passages:
                position = connection.execute(
                    "INSERT INTO passages (document, page, line, text) VALUES (?, ?, ?, ?)",
                    (document, passage.page, passage.line, passage.text),
                ).lastrowid
                connection.execute("INSERT INTO passage_words (rowid, text) VALUES (?, ?)", (position, passage.text))
            if replaced:
                _forget_words(connection)
            row = connection.execute(f"{LIST} WHERE name = ?", (name,)).fetchone()
        if replaced:
            self._database.scrub()
        return Document(*row)

    def all(self) -> list[Document]:
        """Every document, by name."""
        with self._database.reading() as connection:
            rows = connection.execute(f"{LIST} ORDER BY name").fetchall()
        return [Document(*row) for row in rows]

    def count(self) -> int:
        with self._database.reading() as connection:
            total: int = connection.execute("SELECT count(*) FROM documents").fetchone()[0]
        return total

    def matching(self, query: str, *, limit: int) -> list[int]:
        """Positions of passages that hold a word of `query`, best match first. Raises BadQuery."""
        match = match_of(query)
        with self._database.reading() as connection:
            return [position for (position,) in connection.execute(BY_WORDS, (match, limit))]

    def passages(self, positions: Sequence[int]) -> dict[int, Found]:
        """The passages at these positions, in this order; those that are gone are left out."""
        with self._database.reading() as connection:
            rows = {position: connection.execute(BY_POSITION, (position,)).fetchone() for position in positions}
        return {position: _found(*row) for position, row in rows.items() if row is not None}

    def delete(self, name: str) -> bool:
        """Erase a document with all its passages, from the search index too; False when there is none."""
        with self._database.erasing() as connection:
            removed = _remove(connection, name)
            if removed:
                _forget_words(connection)
        if removed:
            self._database.scrub()
        return removed


def _found(name: str, kind: str, *place: Any) -> Found:
    return Found(name, kind, Passage(*place))


def _remove(connection: sqlite3.Connection, name: str) -> bool:
    row = connection.execute("SELECT position FROM documents WHERE name = ?", (name,)).fetchone()
    if row is None:
        return False
    connection.execute(UNINDEX, row)
    connection.execute("DELETE FROM documents WHERE position = ?", row)
    return True


def _forget_words(connection: sqlite3.Connection) -> None:
    # FTS5 only marks a deleted word until its segments are merged: https://www.sqlite.org/fts5.html#the_optimize_command
    connection.execute("INSERT INTO passage_words (passage_words) VALUES ('optimize')")
