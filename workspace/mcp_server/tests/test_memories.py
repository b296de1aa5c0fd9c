"""Memories: kept once, found by words, erased for good."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp.client import Client

from mcp_server.errors import BadQuery
from mcp_server.storage.database import FILE_NAME, Database
from mcp_server.storage.memories import Memories
from mcp_server.tests.harness import USER, call, refusal


def test_a_memory_is_found_by_any_word_of_it_in_any_form(database: Database) -> None:
    memories = Memories(database)
    kept = memories.remember("Trades only US index futures", tags=["risk"])
    memories.remember("Prefers weekly strategies", tags=[])

    for query in ("future", "TRADING", "risk", "ind", "nothing or indexes"):
        assert memories.search(query, limit=5) == [kept], query
    assert memories.search("bonds", limit=5) == []


def test_the_best_match_comes_first_and_the_limit_holds(database: Database) -> None:
    memories = Memories(database)
    memories.remember("Dislikes leverage", tags=[])
    both = memories.remember("Dislikes leverage on futures", tags=[])

    assert memories.search("leverage futures", limit=1) == [both]


def test_the_same_content_is_kept_once_and_gains_tags(database: Database) -> None:
    memories = Memories(database)
    first = memories.remember("Lives in Zurich", tags=["home"])

    again = memories.remember("Lives in Zurich", tags=["city", "home"])

    assert (again.id, again.tags) == (first.id, ("home", "city"))
    assert memories.count() == 1
    assert memories.search("city", limit=5) == [again]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text())
def test_no_query_does_worse_than_be_refused(database: Database, query: str) -> None:
    with suppress(BadQuery):
        assert Memories(database).search(query, limit=5) == []


def test_a_forgotten_memory_leaves_no_trace_in_the_folder(tmp_path: Path) -> None:
    """Source: "erase" is meant: neither a deleted row nor the search index nor the write-ahead log keeps the words."""
    database = Database(tmp_path, user=USER)
    memories = Memories(database)
    secret = memories.remember("The passphrase is xylophone-marmalade", tags=[])
    memories.remember("Something else", tags=[])
    stored = sum(file.read_bytes().count(b"marmalade") for file in tmp_path.iterdir())

    assert memories.forget(secret.id)

    assert stored > 0
    assert not any(b"marmalade" in file.read_bytes() for file in tmp_path.glob(f"{FILE_NAME}*"))
    assert not memories.forget(secret.id)
    database.close()


async def test_memories_through_the_server(client: Client) -> None:
    kept = await call(client, "remember", content=" Trades in the morning ", tags=["habit"])
    assert (kept["content"], kept["tags"]) == ("Trades in the morning", ["habit"])
    found = (await call(client, "search_memory", query="mornings"))["memories"]
    assert [{**memory, "found_by": None} for memory in found] == [{**kept, "found_by": None}]
    assert (await call(client, "list_memories")) == {"memories": [kept], "total": 1}

    assert (await call(client, "forget", id=kept["id"]))["forgotten"] is True
    assert (await call(client, "forget", id=kept["id"]))["forgotten"] is False
    assert (await call(client, "list_memories"))["total"] == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"content": ""}, "content: String should have at least 1 character"),
        ({"content": " \n\t "}, "content: String should have at least 1 character"),
        ({"content": "x" * 4001}, "content: String should have at most 4000 characters"),
        ({"content": "x", "tags": ["t"] * 11}, "tags: List should have at most 10 items"),
        ({}, "content: Field required"),
    ],
)
async def test_what_is_not_a_memory_is_refused(client: Client, arguments: dict[str, object], told: str) -> None:
    assert told in await refusal(client, "remember", **arguments)
