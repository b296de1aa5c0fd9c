"""Conversations: appended once by turn, paged from the newest back, whole after a kill."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp.client import Client

from mcp_server.errors import BadMessage, ForeignFolder, NewerFile
from mcp_server.storage.conversations import Conversations
from mcp_server.storage.database import FILE_NAME, Database
from mcp_server.tests.harness import USER, RunningServer, call, refusal, running_server


def said(*contents: str) -> list[dict[str, Any]]:
    """A turn's messages, user and assistant in turn."""
    return [
        {"role": role, "content": content}
        for role, content in zip(("user", "assistant") * len(contents), contents, strict=False)
    ]


def contents(messages: list[dict[str, Any]]) -> list[str]:
    return [message["content"] for message in messages]


async def test_a_repeated_turn_is_stored_once(client: Client) -> None:
    """Source: DESIGN.md, section 2: append_messages is idempotent by turn id."""
    for _ in range(3):
        done = await call(client, "append_messages", conversation="once", turn="t1", messages=said("Hello", "Hi!"))
    other = await call(client, "append_messages", conversation="once", turn="t1", messages=said("Other"))

    assert (done["stored"], other["stored"], other["messages"]) == (False, False, 2)
    page = await call(client, "get_conversation", conversation="once")
    assert contents(page["messages"]) == ["Hello", "Hi!"]


async def test_the_same_turn_at_once_from_many_is_stored_once(client: Client) -> None:
    answers = await asyncio.gather(
        *(call(client, "append_messages", conversation="race", turn="t1", messages=said("Hello")) for _ in range(10))
    )

    assert sum(answer["stored"] for answer in answers) == 1
    assert (await call(client, "get_conversation", conversation="race"))["total"] == 1


async def test_small_keys_of_a_message_are_kept(client: Client) -> None:
    calls = [{"id": "c1", "name": "get_bars", "args": {"symbol": "SPX"}}]
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "SPX?", "channel": "telegram", "at": "2026-01-01T00:00:00Z"},
        {"role": "assistant", "content": "", "tool_calls": calls, "model": "demo/demo"},
        {"role": "tool", "content": "2506.85", "name": "get_bars", "tool_call_id": "c1"},
    ]

    await call(client, "append_messages", conversation="kept", turn="t1", messages=messages)

    got = (await call(client, "get_conversation", conversation="kept"))["messages"]
    assert got[0] == {**messages[0], "turn": "t1"}
    assert got[1]["tool_calls"] == calls
    assert {**messages[2], "turn": "t1"}.items() <= got[2].items()
    assert got[2]["at"].endswith("Z")


@settings(max_examples=30, deadline=None)
@given(turns=st.lists(st.integers(1, 4), min_size=1, max_size=12), limit=st.integers(1, 7))
def test_pages_from_the_newest_back_give_every_message_once(
    tmp_path_factory: pytest.TempPathFactory, turns: list[int], limit: int
) -> None:
    database = Database(tmp_path_factory.mktemp("pages"), user=USER)
    conversations = Conversations(database)
    number = count()
    wanted: list[str] = []
    for turn, size in enumerate(turns):
        texts = [str(next(number)) for _ in range(size)]
        wanted += texts
        conversations.append("main", turn=str(turn), messages=said(*texts))
        conversations.append("other", turn=str(turn), messages=said("elsewhere"))

    pages, before = [], None
    while True:
        page = conversations.page("main", limit=limit, before=before)
        assert len(page.messages) <= limit
        pages.append(contents(page.messages))
        before = page.before
        if before is None:
            break

    assert [text for page in reversed(pages) for text in page] == wanted
    assert page.total == len(wanted)
    database.close()


def test_a_page_of_large_messages_ends_before_it_is_too_large(database: Database) -> None:
    conversations = Conversations(database)
    for turn in range(4):
        conversations.append("main", turn=str(turn), messages=said(f"{turn}" * 100_000))

    newest = conversations.page("main", limit=50)
    older = conversations.page("main", limit=50, before=newest.before)

    assert [text[0] for text in contents(newest.messages)] == ["2", "3"]
    assert [text[0] for text in contents(older.messages)] == ["0", "1"]
    assert older.before is None


async def test_an_unknown_conversation_is_empty_and_no_error(client: Client) -> None:
    page = await call(client, "get_conversation", conversation="none")
    assert (page["messages"], page["total"], page["before"]) == ([], 0, None)

    resource = await client.read_resource("conversation://none")
    nothing: dict[str, Any] = {"id": "none", "title": "", "summary": None, "messages": [], "before": None, "last": None}
    assert json.loads(resource.contents[0].text) == nothing  # type: ignore[union-attr]


@pytest.mark.parametrize("before", [2**63, 10**19, -1])
async def test_a_cursor_that_no_page_gave_is_refused(client: Client, before: int) -> None:
    assert "before: Input should be" in await refusal(client, "get_conversation", conversation="none", before=before)


async def test_the_resource_holds_the_newest_messages(client: Client) -> None:
    for turn in range(11):
        messages = said(*(f"{turn}-{number}" for number in range(20)))
        await call(client, "append_messages", conversation="long", turn=str(turn), messages=messages)

    resource = json.loads((await client.read_resource("conversation://long")).contents[0].text)  # type: ignore[union-attr]

    assert contents(resource["messages"]) == [f"{turn}-{number}" for turn in range(1, 11) for number in range(20)]
    assert resource["title"] == "0-0"
    older = await call(client, "get_conversation", conversation="long", before=resource["before"])
    assert contents(older["messages"])[-1] == "0-19"


async def test_a_summary_stands_for_the_messages_that_it_covers(client: Client) -> None:
    for turn in range(4):
        await call(client, "append_messages", conversation="sum", turn=str(turn), messages=said(f"q{turn}", f"a{turn}"))
    newest = await call(client, "get_conversation", conversation="sum", limit=4)
    assert (contents(newest["messages"]), newest["summary"]) == (["q2", "a2", "q3", "a3"], None)

    kept = await call(client, "set_summary", conversation="sum", summary="Two questions.", up_to=newest["before"] - 1)

    assert kept["stored"] is True
    resource = json.loads((await client.read_resource("conversation://sum")).contents[0].text)  # type: ignore[union-attr]
    assert (resource["summary"]["text"], contents(resource["messages"])) == ("Two questions.", ["q2", "a2", "q3", "a3"])
    older = await call(client, "get_conversation", conversation="sum", before=resource["before"])
    assert (contents(older["messages"]), older["summary"]) == (["q0", "a0", "q1", "a1"], kept["summary"])

    await call(client, "set_summary", conversation="sum", summary="All of it.", up_to=newest["last"])
    resource = json.loads((await client.read_resource("conversation://sum")).contents[0].text)  # type: ignore[union-attr]
    assert (resource["summary"]["text"], resource["messages"]) == ("All of it.", [])
    whole = await call(client, "get_conversation", conversation="sum", before=resource["before"])
    assert contents(whole["messages"])[-1] == "a3"


@given(calls=st.lists(st.tuples(st.integers(1, 9), st.sampled_from("abc")), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_summary_never_falls_behind_however_calls_overtake_each_other(
    database: Database, calls: list[tuple[int, str]]
) -> None:
    conversations = Conversations(database)
    conversations.delete("main")
    conversations.append("main", turn="t", messages=said(*"123456789"))
    last = conversations.page("main", limit=1).last
    assert last is not None

    for offset, text in calls:
        kept = conversations.summarise("main", text=text, up_to=last - 9 + offset)
        again = conversations.summarise("main", text=kept.text, up_to=kept.up_to)
        assert again == kept

    assert kept.up_to == last - 9 + max(offset for offset, _ in calls)
    assert kept.text == [text for offset, text in calls if offset == max(each for each, _ in calls)][-1]


async def test_a_summary_of_what_is_not_there_is_refused(client: Client) -> None:
    await call(client, "append_messages", conversation="short", turn="t", messages=said("q"))
    last = (await call(client, "get_conversation", conversation="short"))["last"]

    told = await refusal(client, "set_summary", conversation="short", summary="x", up_to=last + 1)
    assert f"The last message has the position {last}" in told
    assert "no such conversation" in await refusal(client, "set_summary", conversation="other", summary="x", up_to=1)


async def test_conversations_are_listed_by_last_use_and_deleted_whole(client: Client) -> None:
    for name in ("first", "second", "first"):
        await call(client, "append_messages", conversation=name, turn=name + str(id(name)), messages=said(f"In {name}"))
    await call(client, "append_messages", conversation="first", turn="again", messages=said("Again"))

    listed = (await call(client, "list_conversations"))["conversations"]
    assert [each["id"] for each in listed if each["id"] in ("first", "second")] == ["first", "second"]
    assert (await call(client, "delete_conversation", conversation="first"))["erased"] == 2
    assert (await call(client, "delete_conversation", conversation="first"))["erased"] == 0
    assert (await call(client, "get_conversation", conversation="first"))["messages"] == []
    assert (await call(client, "get_conversation", conversation="second"))["total"] == 1


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([], "messages: List should have at least 1 item"),
        ([{"role": "system", "content": "x"}], "messages.0.role: Input should be 'user', 'assistant' or 'tool'"),
        ([{"role": "user"}], "messages.0.content: Field required"),
        ([{"role": "user", "content": "x" * 262_145}], "messages.0.content: String should have at most"),
        ([{"role": "user", "content": "é" * 200_000}], "at most 262144 are kept"),
    ],
)
async def test_what_is_not_a_turn_is_refused(client: Client, messages: list[object], told: str) -> None:
    assert told in await refusal(client, "append_messages", conversation="bad", turn="t", messages=messages)
    assert (await call(client, "get_conversation", conversation="bad"))["total"] == 0


@pytest.mark.parametrize("value", [float("nan"), "\ud800"])
def test_what_json_can_not_carry_is_refused(database: Database, value: object) -> None:
    with pytest.raises(BadMessage, match="not plain JSON"):
        Conversations(database).append("main", turn="t", messages=[{"role": "user", "content": "x", "extra": value}])


def test_odd_texts_come_back_as_they_went_in(database: Database) -> None:
    odd = "\u0000 \u2028 \U0001f4c8 ' \" \\ \x1b[31m"
    conversations = Conversations(database)

    conversations.append(odd, turn=odd, messages=said(odd))

    assert contents(conversations.page(odd, limit=5).messages) == [odd]


async def test_a_killed_server_has_every_acknowledged_turn_and_no_half_one(
    tmp_path: Path, key: Ed25519PrivateKey
) -> None:
    """Source: nothing acknowledged is missing after kill -9, and a turn is whole or absent."""
    acknowledged: list[str] = []

    async def append_until_cut(server: RunningServer) -> None:
        async with server.client() as client:
            for turn in count():
                await call(client, "append_messages", conversation="main", turn=f"t{turn}", messages=said("q", "a"))
                acknowledged.append(f"t{turn}")
                if turn == 25:
                    server.process.kill()

    with running_server(tmp_path, key) as first, pytest.raises(BaseExceptionGroup) as cut:
        await append_until_cut(first)
    assert cut.group_contains(httpx2.TransportError)

    with running_server(tmp_path, key) as second:
        async with second.client() as client:
            page = await call(client, "get_conversation", conversation="main", limit=200)
            stored = [message["turn"] for message in page["messages"]]
            assert set(acknowledged) <= set(stored)
            assert all(stored.count(turn) == 2 for turn in stored)
            repeated = await call(
                client, "append_messages", conversation="main", turn=acknowledged[-1], messages=said("q", "a")
            )
            assert repeated["stored"] is False


def test_a_folder_is_never_opened_for_another_user(database: Database, tmp_path: Path) -> None:
    with pytest.raises(ForeignFolder):
        Database(tmp_path, user="stranger")


def test_a_file_of_a_newer_server_is_left_as_it_is(database: Database, tmp_path: Path) -> None:
    """Source: with its version lowered, the newer server would migrate the file a second time."""
    database.close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as file:
        newer = file.execute("PRAGMA user_version").fetchone()[0] + 1
        file.execute(f"PRAGMA user_version = {newer}")

    with pytest.raises(NewerFile, match="newer version of this server"):
        Database(tmp_path, user=USER)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as file:
        assert file.execute("PRAGMA user_version").fetchone() == (newer,)
