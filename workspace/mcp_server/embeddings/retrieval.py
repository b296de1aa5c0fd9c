"""Search by words and by meaning together. Without a model, or while it can't run, words are enough and the note says so."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from mcp_server.documents.reading import Runs
from mcp_server.embeddings.models import Model, load
from mcp_server.embeddings.ranking import fused
from mcp_server.embeddings.vectors import Kind, Vectors
from mcp_server.errors import JobDied, SandboxFailed, StorageFull, WorkspaceError
from mcp_server.sandbox.jobs import MIB, Job, Limits
from mcp_server.storage.database import Database

FoundBy = Literal["words", "meaning", "both"]

# A passage takes about a second of a core. Somebody waits for those that a search makes; those made behind it are made one
# by one, each when no other job wants its turn: a backtest waits a second at most.
BATCH, BATCH_BEHIND = 4, 1
# Ten minutes of a core at most come of one search; the next one goes on.
MOST_BEHIND = 500
LIMITS = Limits(wall_s=60, cpu_s=45, memory_bytes=160 * MIB, output_bytes=MIB, disk_bytes=MIB)

# So long a search of short texts waits for what was just stored to get its vectors; the rest follows behind it.
CATCH_UP_S = 2.0

FLOAT_BYTES = 4

# More than the longest answer has, so that a place in it is never lost to the bound.
ROOM = 200

# What is left to a thread that is told to end.
CLOSE_S = 2.0

NO_MODEL = "Found by words only: no embedding model is installed here, so try other words for the same thing too."
BROKEN = "Found by words only: the embedding model could not run."


@dataclass(frozen=True, slots=True)
class Hit:
    """The position of something found, and how."""

    position: int
    found_by: FoundBy


@dataclass(frozen=True, slots=True)
class Hits:
    """What was found, best first; `note` says what the search could not do."""

    hits: list[Hit]
    note: str | None


class Retrieval:
    """Ranks what words found together with what means something alike."""

    def __init__(self, database: Database, jobs: Runs, *, module: str | None) -> None:
        self._database = database
        self._jobs = jobs
        self._module = module
        self._embedding = threading.Lock()
        self._closing = threading.Event()
        self._behind: threading.Thread | None = None

    def ranked(self, kind: Kind, query: str, *, by_words: Sequence[int], limit: int) -> Hits:
        """The best `limit` of what words found, best first, and of what the model finds."""
        if self._module is None:
            return Hits([Hit(each, "words") for each in by_words[:limit]], NO_MODEL)
        try:
            by_meaning, note = self._near(load(self._module), kind, query, limit=2 * limit)
        except (SandboxFailed, ImportError) as error:
            told = f" {error}" if isinstance(error, WorkspaceError) else ""
            return Hits([Hit(each, "words") for each in by_words[:limit]], BROKEN + told)
        order = fused([by_words, by_meaning], limit=limit)
        return Hits([Hit(each, _found_by(each, by_words, by_meaning)) for each in order], note)

    def close(self) -> None:
        """Let no more vectors be made. The sandbox is closed before, so that no batch is waited for."""
        self._closing.set()
        if self._behind is not None:
            self._behind.join(CLOSE_S)

    def _near(self, model: Model, kind: Kind, query: str, *, limit: int) -> tuple[list[int], str | None]:
        vectors = Vectors(self._database, model=model.NAME)
        wanted = self._vectors({"query": query})[0]
        if kind.waits and not self._is_behind():
            until = time.monotonic() + CATCH_UP_S
            for _ in self._catching_up(vectors, kind):
                if time.monotonic() > until:
                    break
        found = [position for _, position in _nearest(vectors.read(kind, size=len(wanted)), wanted, model)[:limit]]
        missing = vectors.count_missing(kind)
        if missing:
            self._go_on_behind(vectors, kind)
        return (
            found,
            f"{missing} of the {kind.table} are not yet compared by meaning, only by words." if missing else None,
        )

    def _catching_up(self, vectors: Vectors, kind: Kind, *, behind: bool = False) -> Iterator[int]:
        """Make the missing vectors batch by batch; ends when there are none or no room for them."""
        while not self._closing.is_set():
            with self._embedding:
                texts = vectors.missing(kind, limit=BATCH_BEHIND if behind else BATCH)
                if not texts:
                    return
                made = self._vectors({"passages": [text for _, text in texts]}, patient=behind)
                try:
                    kept = vectors.keep(kind, texts, made)
                except StorageFull:
                    return
            if not kept:
                return
            yield len(texts)

    def _go_on_behind(self, vectors: Vectors, kind: Kind) -> None:
        def work() -> None:
            try:
                for _ in islice(self._catching_up(vectors, kind, behind=True), MOST_BEHIND):
                    pass
            except SandboxFailed:
                # The next search tells it.
                return

        if not self._is_behind():
            self._behind = threading.Thread(target=work, name="embeddings", daemon=True)
            self._behind.start()

    def _is_behind(self) -> bool:
        return self._behind is not None and self._behind.is_alive()

    def _vectors(self, arguments: dict[str, Any], *, patient: bool = False) -> list[bytes]:
        job = Job(
            "mcp_server.jobs.embed:run",
            {"module": self._module, **arguments},
            preload=("numpy",),
            limits=LIMITS,
            patient=patient,
        )
        content = self._jobs.run(job).blobs.get("vectors", b"")
        # As many as were asked for, whatever the job counts: a text may have broken the model's native code.
        count = len(arguments.get("passages", [""]))
        size, rest = divmod(len(content), count)
        if rest or not size or size % FLOAT_BYTES:
            raise JobDied("The embedding model gave no vector for each text.")
        return [content[start : start + size] for start in range(0, len(content), size)]


def _nearest(found: Iterable[tuple[list[int], bytes]], wanted: bytes, model: Model) -> list[tuple[float, int]]:
    """Cosine and position of what is near enough, nearest first."""
    import numpy as np  # noqa: PLC0415 - a server that never searches by meaning starts without it

    query = np.frombuffer(wanted, "<f4")
    best: list[tuple[float, int]] = []
    for positions, content in found:
        cosines = np.frombuffer(content, "<f4").reshape(len(positions), -1) @ query
        near = [(float(cosine), position) for cosine, position in zip(cosines, positions, strict=True)]
        best = heapq.nlargest(ROOM, [*best, *(each for each in near if each[0] >= model.FLOOR)])
    return [each for each in best if each[0] >= best[0][0] - model.SPREAD]


def _found_by(position: int, by_words: Sequence[int], by_meaning: Sequence[int]) -> FoundBy:
    if position not in by_meaning:
        return "words"
    return "both" if position in by_words else "meaning"
