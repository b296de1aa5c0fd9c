"""Vectors of the user's texts: made when they are first needed, in batches, kept in the data file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mcp_server.storage.database import Database

# Read while a search runs: 3 MB of 384-dimensional vectors.
ROWS_AT_ONCE = 2048


@dataclass(frozen=True, slots=True)
class Kind:
    """What is searched: a table with its column of text, and the table of its vectors.

    `waits`: its texts are so few and short that a search waits a moment for those just stored.
    """

    table: str
    column: str
    vectors: str
    waits: bool


MEMORIES = Kind("memories", "content", "memory_vectors", waits=True)
PASSAGES = Kind("passages", "text", "passage_vectors", waits=False)


class Vectors:
    """Vectors of one model in the user's file."""

    def __init__(self, database: Database, *, model: str) -> None:
        self._database = database
        self._model = model

    def missing(self, kind: Kind, *, limit: int) -> list[tuple[int, str]]:
        """Positions and texts that have no vector of this model, the newest first."""
        with self._database.reading() as connection:
            return connection.execute(
                f"SELECT position, {kind.column} FROM {kind.table} WHERE NOT EXISTS {_has_vector(kind)}"
                f" ORDER BY position DESC LIMIT ?",
                (self._model, limit),
            ).fetchall()

    def count_missing(self, kind: Kind) -> int:
        with self._database.reading() as connection:
            count: int = connection.execute(
                f"SELECT count(*) FROM {kind.table} WHERE NOT EXISTS {_has_vector(kind)}", (self._model,)
            ).fetchone()[0]
        return count

    def keep(self, kind: Kind, texts: Sequence[tuple[int, str]], vectors: Sequence[bytes]) -> int:
        """Keep the vectors of these texts but those whose text is gone or another by now; gives how many were kept.

        Raises StorageFull.
        """
        kept = 0
        with self._database.writing() as connection:
            for (position, text), vector in zip(texts, vectors, strict=True):
                kept += connection.execute(
                    f"INSERT OR REPLACE INTO {kind.vectors} (position, model, vector) SELECT position, ?, ?"
                    f" FROM {kind.table} WHERE position = ? AND {kind.column} = ?",
                    (self._model, vector, position, text),
                ).rowcount
        return kept

    def read(self, kind: Kind, *, size: int) -> Iterator[tuple[list[int], bytes]]:
        """All of them that have `size` bytes: positions, and their vectors one after the other."""
        last = 0
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(
                    f"SELECT position, vector FROM {kind.vectors} WHERE model = ? AND length(vector) = ?"
                    f" AND position > ? ORDER BY position LIMIT {ROWS_AT_ONCE}",
                    (self._model, size, last),
                ).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            yield [position for position, _ in rows], b"".join(vector for _, vector in rows)


def _has_vector(kind: Kind) -> str:
    return f"(SELECT 1 FROM {kind.vectors} AS v WHERE v.position = {kind.table}.position AND v.model = ?)"
