"""What the agent was told to remember about its user, with full-text search."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mcp_server.storage.database import Database, timestamp
from mcp_server.storage.words import match_of

BY_CONTENT = "SELECT id, content, tags, created_at FROM memories WHERE content = ?"
NEWEST = "SELECT id, content, tags, created_at FROM memories ORDER BY position DESC LIMIT ?"
BY_POSITION = "SELECT id, content, tags, created_at FROM memories WHERE position = ?"
BY_WORDS = """
SELECT rowid FROM memory_words WHERE memory_words MATCH ? ORDER BY bm25(memory_words), rowid DESC LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class Memory:
    """One remembered thing; `created_at` is ISO 8601 in UTC."""

    id: str
    content: str
    tags: tuple[str, ...]
    created_at: str


class Memories:
    """Memories in the user's file, each content once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def remember(self, content: str, *, tags: Sequence[str]) -> Memory:
        """Keep `content`. What is known already is not kept twice: it only gains the tags that are new."""
        memory = Memory(f"mem-{secrets.token_hex(6)}", content, tuple(dict.fromkeys(tags)), timestamp())
        with self._database.writing() as connection:
            row = connection.execute(BY_CONTENT, (content,)).fetchone()
            if row is not None:
                known = _memory(row)
                memory = replace(known, tags=tuple(dict.fromkeys([*known.tags, *tags])))
            (position,) = connection.execute(
                "INSERT INTO memories (id, content, tags, created_at) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (content) DO UPDATE SET tags = excluded.tags RETURNING position",
                (memory.id, content, json.dumps(memory.tags), memory.created_at),
            ).fetchone()
            connection.execute(
                "INSERT OR REPLACE INTO memory_words (rowid, content, tags) VALUES (?, ?, ?)",
                (position, content, " ".join(memory.tags)),
            )
        return memory

    def search(self, query: str, *, limit: int) -> list[Memory]:
        """Memories that hold a word of `query` (or one that begins with it), best match first. Raises BadQuery."""
        return list(self.at(self.matching(query, limit=limit)).values())

    def matching(self, query: str, *, limit: int) -> list[int]:
        """Positions of the memories that `search` finds. Raises BadQuery."""
        match = match_of(query)
        with self._database.reading() as connection:
            return [position for (position,) in connection.execute(BY_WORDS, (match, limit))]

    def at(self, positions: Sequence[int]) -> dict[int, Memory]:
        """The memories at these positions, in this order; those that are gone are left out."""
        with self._database.reading() as connection:
            rows = {position: connection.execute(BY_POSITION, (position,)).fetchone() for position in positions}
        return {position: _memory(row) for position, row in rows.items() if row is not None}

    def newest(self, limit: int) -> list[Memory]:
        """The `limit` newest memories, newest first."""
        with self._database.reading() as connection:
            rows = connection.execute(NEWEST, (limit,)).fetchall()
        return [_memory(row) for row in rows]

    def count(self) -> int:
        with self._database.reading() as connection:
            total: int = connection.execute("SELECT count(*) FROM memories").fetchone()[0]
        return total

    def forget(self, memory: str) -> bool:
        """Erase one by its id, from the search index too; False when there is none."""
        with self._database.erasing() as connection:
            row = connection.execute("DELETE FROM memories WHERE id = ? RETURNING position", (memory,)).fetchone()
            if row is not None:
                connection.execute("DELETE FROM memory_words WHERE rowid = ?", row)
                # FTS5 only marks a deleted word until its segments are merged:
                # https://www.sqlite.org/fts5.html#the_optimize_command
                connection.execute("INSERT INTO memory_words (memory_words) VALUES ('optimize')")
        if row is not None:
            self._database.scrub()
        return row is not None


def _memory(row: Iterable[str]) -> Memory:
    identity, content, tags, created_at = row
    return Memory(identity, content, tuple(json.loads(tags)), created_at)
