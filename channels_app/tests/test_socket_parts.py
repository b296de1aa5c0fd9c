"""The parts of a socket that need no server: what is followed, how much is taken, what waits."""

import asyncio
import time
import uuid
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from accounts.tokens import Identity
from agents.events import Token
from agents.journal import journal
from agents.writer import encode
from channels_app.protocol.server import Pong
from channels_app.socket.backstop import looked_after
from channels_app.socket.closing import SESSION_EXPIRED, TRY_LATER
from channels_app.socket.lane import LANE_LENGTH, Lane
from channels_app.socket.limits import FrameLimits
from channels_app.socket.outlet import WAITING_FRAMES, Outlet
from channels_app.socket.session import Session
from channels_app.socket.tails import ENDED_KEPT, Tails
from channels_app.socket.together import run_together
from channels_app.standing import Standing
from gateway.ids import new_id
from gateway.mailbox import Mailbox


def _due(tails: Tails) -> list[tuple[str, int]]:
    return [(tail.turn, tail.sent) for tail in tails.take_due()]


def test_a_new_turn_is_followed_from_its_first_event() -> None:
    tails = Tails()
    tails.adopt("a")

    assert _due(tails) == [("a", 0)]
    assert _due(tails) == []


def test_a_turn_that_was_running_is_left_alone_until_it_is_asked_for() -> None:
    tails = Tails(["a"])
    tails.hint("a", 9)
    tails.adopt("a")
    tails.poll()
    assert _due(tails) == []

    tails.follow("a", after=4)
    assert _due(tails) == [("a", 4)]


def test_a_hint_of_what_was_sent_makes_nothing_due() -> None:
    tails = Tails()
    tails.follow("a", after=5)
    tails.take_due()

    tails.hint("a", 5)
    assert _due(tails) == []
    tails.hint("a", 6)
    assert _due(tails) == [("a", 5)]


def test_a_late_hint_does_not_begin_an_ended_turn_again() -> None:
    tails = Tails()
    tails.follow("a", after=5)
    tails.end("a", last=7)

    tails.hint("a", 7)
    tails.adopt("a")
    tails.poll()
    assert _due(tails) == []


def test_an_ended_turn_that_staff_had_tried_again_goes_on_where_it_ended() -> None:
    tails = Tails()
    tails.end("a", last=7)

    tails.hint("a", 8)
    assert _due(tails) == [("a", 7)]


def test_no_new_turn_is_followed_while_a_message_is_being_accepted() -> None:
    tails = Tails()
    with tails.held():
        tails.adopt("a")
        assert _due(tails) == []
        tails.follow("a", after=0)

    assert _due(tails) == [("a", 0)]


def test_a_second_resume_replaces_the_first() -> None:
    tails = Tails()
    tails.follow("a", after=0)
    (first,) = tails.take_due()
    tails.follow("a", after=3)

    assert not tails.is_current(first)
    assert _due(tails) == [("a", 3)]


def test_an_old_turns_id_tells_its_age() -> None:
    tails = Tails()
    old = uuid.UUID(int=(int((time.time() - 60) * 1000) << 80) | (7 << 76) | (2 << 62))

    assert tails.may_be_new(new_id())
    assert not tails.may_be_new(str(old))


def test_a_socket_of_many_days_does_not_remember_every_turn() -> None:
    tails = Tails()
    for number in range(ENDED_KEPT + 5):
        tails.end(str(number), last=1)

    assert not tails.knows("4")
    assert tails.knows("5")


def test_frames_spread_over_time_are_no_flood() -> None:
    now = [0.0]
    limits = FrameLimits(clock=lambda: now[0])

    for _ in range(500):
        now[0] += 0.2
        assert not limits.flooding()


def test_the_hundred_and_first_frame_within_ten_seconds_is_a_flood() -> None:
    now = [0.0]
    limits = FrameLimits(clock=lambda: now[0])
    assert not any(limits.flooding() for _ in range(100))

    now[0] = 9.9
    assert limits.flooding()
    now[0] = 30.0
    assert not limits.flooding()


async def test_a_client_that_takes_nothing_is_read_from_no_more() -> None:
    """Backpressure: the reader waits in `put` once enough frames wait to be sent."""
    stuck = asyncio.Event()

    async def send(_event: Any) -> None:
        await stuck.wait()

    outlet = Outlet(send, tails=Tails(), on_lost=lambda _tail: None)
    running = asyncio.create_task(outlet.run())
    for _ in range(WAITING_FRAMES):
        await outlet.put(Pong())
    await asyncio.sleep(0)
    await outlet.put(Pong())
    waiting = asyncio.create_task(outlet.put(Pong()))
    await asyncio.sleep(0)
    assert not waiting.done()

    stuck.set()
    await waiting
    running.cancel()


async def test_a_status_waits_for_nobody() -> None:
    """A start of a workspace that many await tells its stages to a client that is gone."""
    outlet = Outlet(_never, tails=Tails(), on_lost=lambda _tail: None)

    assert [outlet.offer(Pong()) for _ in range(WAITING_FRAMES + 1)] == [True] * WAITING_FRAMES + [False]


async def _never(_event: Any) -> None:
    await asyncio.Event().wait()


async def test_frames_that_wait_are_sent_before_the_close() -> None:
    sent = []

    async def send(event: Any) -> None:
        sent.append(event["type"])

    outlet = Outlet(send, tails=Tails(), on_lost=lambda _tail: None)
    await outlet.put(Pong())
    outlet.close(TRY_LATER)
    outlet.close(TRY_LATER)
    await outlet.run()

    assert sent == ["websocket.send", "websocket.close"]


async def test_no_event_is_sent_once_the_socket_is_to_close() -> None:
    """A slow client that has an answer of hundreds of events to come gets the close at once."""
    turn, book, sent = new_id(), journal(), []
    await book.open(turn, fence=0, floor=1)
    await book.append(turn, [encode(Token(content="a"), turn, new_id())] * 500, fence=0)
    tails = Tails()

    async def send(event: Any) -> None:
        sent.append(event["type"])
        if len(sent) == 3:
            outlet.close(SESSION_EXPIRED)

    outlet = Outlet(send, tails=tails, on_lost=lambda _tail: None)
    tails.follow(turn, after=0)
    outlet.wake()
    await outlet.run()

    assert sent == ["websocket.send"] * 3 + ["websocket.close"]


async def test_a_client_that_is_gone_ends_the_sending() -> None:
    async def send(_event: Any) -> None:
        raise ConnectionResetError

    outlet = Outlet(send, tails=Tails(), on_lost=lambda _tail: None)
    await outlet.put(Pong())

    await outlet.run()


async def test_slow_work_waits_in_a_short_lane() -> None:
    async def work() -> None:
        """Nothing."""

    lane = Lane(on_broken=_broken)
    offered = [lane.offer(work) for _ in range(LANE_LENGTH + 1)]
    await lane.end()

    assert offered == [True] * LANE_LENGTH + [False]


async def test_the_same_work_waits_only_once() -> None:
    lane, done = Lane(on_broken=_broken), asyncio.Event()

    async def work() -> None:
        done.set()

    assert lane.offer(work, key="a")
    assert not lane.offer(work, key="a")
    await done.wait()
    await asyncio.sleep(0)
    assert lane.offer(work, key="a")
    await lane.end()


async def test_slow_work_is_done_in_its_order_and_begun_again_after_a_rest() -> None:
    lane, done = Lane(on_broken=_broken), Mailbox[int]()

    async def work(number: int) -> None:
        done.put_nowait(number)

    for number in range(3):
        lane.offer(partial(work, number))
    first = [await done.get() for _ in range(3)]
    await asyncio.sleep(0)
    lane.offer(partial(work, 3))

    assert [*first, await done.get()] == [0, 1, 2, 3]


async def test_a_lane_that_has_ended_takes_nothing_more() -> None:
    lane, done = Lane(on_broken=_broken), asyncio.Event()

    async def work() -> None:
        done.set()

    await lane.end()
    lane.offer(work)
    for _ in range(3):
        await asyncio.sleep(0)

    assert not done.is_set()


def _broken(error: BaseException) -> None:
    raise AssertionError from error


async def test_slow_work_that_breaks_breaks_the_sending() -> None:
    outlet = Outlet(_never, tails=Tails(), on_lost=lambda _tail: None)

    async def work() -> None:
        raise ZeroDivisionError

    Lane(on_broken=outlet.fail).offer(work)
    with pytest.raises(ZeroDivisionError):
        await outlet.run()


async def test_a_hint_that_can_not_be_understood_breaks_the_sending() -> None:
    """A socket that takes no more hints must not stay."""
    session = Session(Standing(Identity("demo-pro", datetime.now(UTC) + timedelta(hours=1))), _never, running=[])

    session.take_hint({"type": "turn.hint"})
    with pytest.raises(KeyError):
        await session.outlet.run()


async def test_one_socket_that_breaks_keeps_no_other_from_being_looked_after() -> None:
    looked = asyncio.Event()

    class Broken:
        user_id = "demo-pro"

        def poll(self) -> None:
            raise ZeroDivisionError

        def adopt(self, turn: str) -> None:
            """Nothing."""

    class Whole(Broken):
        def poll(self) -> None:
            looked.set()

    async with looked_after(Broken()), looked_after(Whole()):
        await asyncio.wait_for(looked.wait(), 60)


async def test_when_one_loop_breaks_all_end() -> None:
    forever = asyncio.create_task(asyncio.Event().wait())

    async def waiting() -> None:
        await asyncio.shield(forever)

    async def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run_together(waiting(), broken())
    forever.cancel()
