"""A queue for one taker, held against a deque by any order of what is done to it."""

import asyncio
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mailbox import Bell, Mailbox

MOVES = st.lists(st.one_of(st.integers(), st.sampled_from(["get", "begin", "cancel"])), max_size=30)


class Play:
    """A mailbox, what should be in it, and who waits for it."""

    def __init__(self, most: int) -> None:
        self.box, self.most, self.model = Mailbox[int](most), most, deque[int]()
        self.waiting: asyncio.Task[int] | None = None

    def put(self, item: int) -> None:
        if self.most and len(self.model) == self.most:
            with pytest.raises(asyncio.QueueFull):
                self.box.put_nowait(item)
        else:
            self.box.put_nowait(item)
            self.model.append(item)

    def get(self) -> None:
        if self.waiting is not None:
            return
        if self.model:
            assert self.box.get_nowait() == self.model.popleft()
        else:
            with pytest.raises(asyncio.QueueEmpty):
                self.box.get_nowait()

    def begin(self) -> None:
        self.waiting = self.waiting or asyncio.create_task(self.box.get())

    def cancel(self) -> None:
        if self.waiting is not None:
            self.waiting.cancel()

    async def look(self) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        if self.waiting is not None and self.waiting.done():
            if not self.waiting.cancelled():
                assert self.waiting.result() == self.model.popleft()
            self.waiting = None
        assert (self.box.empty(), self.box.full()) == (not self.model, 0 < self.most <= len(self.model))


@given(st.integers(0, 3), MOVES)
def test_what_is_left_is_taken_once_in_its_order_whoever_gives_up_waiting(most: int, moves: list[int | str]) -> None:
    async def play() -> None:
        played = Play(most)
        for move in moves:
            if isinstance(move, int):
                played.put(move)
            else:
                getattr(played, move)()
            await played.look()
        played.cancel()

    asyncio.run(play())


async def test_what_waits_is_handed_over_and_then_what_comes() -> None:
    box, taken = Mailbox[int](1), list[int]()
    box.put_nowait(1)
    box.hand_over(taken.append)
    box.put_nowait(2)
    box.put_nowait(3)

    assert taken == [1, 2, 3]
    assert box.empty()


async def test_a_bell_that_was_rung_before_wakes_once() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    await bell.wait()
    waiting = asyncio.create_task(bell.wait())
    await asyncio.sleep(0)

    assert not waiting.done()
    bell.ring()
    await waiting
