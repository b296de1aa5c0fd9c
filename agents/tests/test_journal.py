"""One contract over both twins of the journal. Source: DESIGN, Journal."""

import json
from collections.abc import AsyncIterator

import pytest

from agents.errors import FenceLost, JournalLost
from agents.journal import Journal
from agents.journal.memory import MemoryJournal
from agents.journal.redis import RedisJournal
from gateway.ids import new_id


@pytest.fixture(params=["memory", "redis"])
async def book(request: pytest.FixtureRequest) -> AsyncIterator[Journal]:
    """A journal of each kind."""
    if request.param == "memory":
        yield MemoryJournal(open_ttl_s=60, final_ttl_s=60)
        return
    journal = RedisJournal.connect(request.getfixturevalue("redis_url"), open_ttl_s=60, final_ttl_s=60)
    yield journal
    await journal.close()


def texts(*words: str) -> list[str]:
    return [json.dumps({"type": "token", "content": word}) for word in words]


async def read(book: Journal, turn: str, after: int = 0) -> list[tuple[int, str]]:
    found = await book.read(turn, after=after)
    assert found is not None
    return [(frame["seq"], frame["content"]) for frame in map(json.loads, found.frames)]


async def test_events_are_numbered_from_one_in_the_order_of_their_writing(book: Journal) -> None:
    turn = new_id()

    assert await book.open(turn, fence=0, floor=1) == (1, False)
    assert await book.append(turn, texts("a", "b"), fence=0) == 3
    assert await book.append(turn, texts("c"), fence=0) == 4

    assert await read(book, turn) == [(1, "a"), (2, "b"), (3, "c")]


async def test_a_reader_gets_what_comes_after_the_number_it_names(book: Journal) -> None:
    turn = new_id()
    await book.open(turn, fence=0, floor=1)
    await book.append(turn, texts("a", "b", "c"), fence=0)

    assert await read(book, turn, after=1) == [(2, "b"), (3, "c")]
    assert await read(book, turn, after=3) == []
    assert await read(book, turn, after=99) == []


async def test_a_higher_fence_goes_on_with_the_numbers_and_shuts_the_lower_one_out(book: Journal) -> None:
    turn = new_id()
    await book.open(turn, fence=1, floor=1)
    await book.append(turn, texts("a"), fence=1)

    assert await book.open(turn, fence=2, floor=1001) == (2, True)
    with pytest.raises(FenceLost):
        await book.append(turn, texts("late"), fence=1)
    with pytest.raises(FenceLost):
        await book.open(turn, fence=1, floor=1)
    await book.append(turn, texts("b"), fence=2)

    assert await read(book, turn) == [(1, "a"), (2, "b")]


async def test_a_journal_that_was_lost_begins_at_the_floor(book: Journal) -> None:
    turn = new_id()

    with pytest.raises(JournalLost):
        await book.append(turn, texts("a"), fence=3)
    assert await book.open(turn, fence=3, floor=1001) == (1001, False)
    await book.append(turn, texts("a"), fence=3)

    assert await read(book, turn, after=37) == [(1001, "a")]
    assert await read(book, turn, after=1001) == []


async def test_a_turn_without_a_journal_reads_as_none(book: Journal) -> None:
    assert await book.read(new_id(), after=0) is None


async def test_text_of_any_kind_comes_back_as_it_was(book: Journal) -> None:
    turn = new_id()
    await book.open(turn, fence=0, floor=1)
    await book.append(turn, [json.dumps({"type": "token", "content": '"}\n\u2028é🚀'}, ensure_ascii=False)], fence=0)

    assert await read(book, turn) == [(1, '"}\n\u2028é🚀')]


async def test_a_finished_journal_expires_after_its_time() -> None:
    now = 0.0
    book = MemoryJournal(open_ttl_s=1000, final_ttl_s=600, clock=lambda: now)
    await book.open("t", fence=0, floor=1)
    await book.append("t", texts("a"), fence=0)
    await book.finish("t")

    now = 599.0
    assert await read(book, "t") == [(1, "a")]
    now = 601.0
    assert await book.read("t", after=0) is None


async def test_a_finished_journal_in_redis_has_the_time_to_live_of_the_protocol(redis_url: str) -> None:
    book = RedisJournal.connect(redis_url, open_ttl_s=5000, final_ttl_s=600)
    turn = new_id()
    await book.open(turn, fence=0, floor=1)
    await book.append(turn, texts("a"), fence=0)
    await book.finish(turn)

    lives = [await book._client.ttl(f"dexorder:journal:{{{turn}}}:{part}") for part in "me"]
    await book.close()

    assert all(590 <= life <= 600 for life in lives)
