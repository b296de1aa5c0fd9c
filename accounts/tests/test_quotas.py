"""How many messages a user may send. Source: DESIGN section 5: windows slide, 60 s and 24 h."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.errors import LimitReached, Window
from accounts.licences import Licence
from accounts.limit_words import messages_reached, moment
from accounts.quotas import SWEEP_BATCH, message_windows, sweep_messages, take_message
from accounts.tiers import FEATURES, LIMITS
from gateway.db import close_pool, connection, open_pool

NOW = datetime(2026, 11, 26, 14, 5, tzinfo=UTC)


def licence(**limits: int | None) -> Licence:
    """A Free licence with these limits."""
    own = LIMITS["free"].model_copy(update=limits)
    return Licence("demo-free", "", "free", FEATURES["free"], own, mcp_server_url="", expires_at=None)


async def send(of: Licence) -> tuple[Window, ...]:
    """Have a message counted as the accepting transaction does."""
    async with connection() as conn, conn.transaction():
        await conn.execute("SELECT 1 FROM user_licenses WHERE user_id = %s FOR NO KEY UPDATE", (of.user_id,))
        return await take_message(conn, of)


async def refused(of: Licence) -> LimitReached:
    with pytest.raises(LimitReached) as reached:
        await send(of)
    return reached.value


async def let_pass(seconds: float) -> None:
    """Have all that was sent lie so much longer ago."""
    async with connection() as conn:
        await conn.execute("UPDATE accepted_messages SET at = at - %s * interval '1 second'", (seconds,))


async def kept() -> int:
    async with connection() as conn:
        row = await (await conn.execute("SELECT count(*) FROM accepted_messages")).fetchone()
    return int(row[0]) if row else 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("users", "pool")
class TestWindows:
    async def test_the_last_message_of_a_minute_is_accepted_and_the_next_is_not(self) -> None:
        of = licence(messages_per_minute=3)
        used = [(await send(of))[0].used for _ in range(3)]
        reached = await refused(of)

        assert used == [1, 2, 3]
        assert reached.code == "rate_limited"
        assert reached.retry_after_s is not None
        assert 55 <= reached.retry_after_s <= 60
        assert [window.used for window in reached.windows] == [3, 3]

    async def test_each_message_leaves_the_window_by_itself(self) -> None:
        of = licence(messages_per_minute=2)
        await send(of)
        await let_pass(40)
        await send(of)
        assert (await refused(of)).retry_after_s in {19, 20}
        await let_pass(20)

        await send(of)

        assert (await refused(of)).retry_after_s in {39, 40}

    async def test_a_refused_message_uses_nothing(self) -> None:
        of = licence(messages_per_minute=1)
        await send(of)
        for _ in range(5):
            await refused(of)
        await let_pass(60)

        assert (await send(of))[1].used == 2

    async def test_a_failed_transaction_uses_nothing(self) -> None:
        async def fail() -> None:
            async with connection() as conn, conn.transaction():
                await take_message(conn, licence())
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()

        assert [window.used for window in await message_windows(licence())] == [0, 0]

    async def test_of_two_full_windows_the_one_that_opens_last_is_told(self) -> None:
        of = licence(messages_per_minute=1, messages_per_day=1)
        await send(of)

        reached = await refused(of)

        assert reached.retry_after_s is not None
        assert reached.retry_after_s > 23 * 3600
        assert "1 message a day" in str(reached)

    async def test_without_limits_all_are_counted_and_none_is_refused(self) -> None:
        of = licence(messages_per_minute=None, messages_per_day=None)
        for _ in range(20):
            await send(of)

        assert [window.used for window in await message_windows(of)] == [20, 20]
        assert (await refused(licence(messages_per_minute=5))).windows[0].used == 20, "a downgrade counts what was sent"

    async def test_a_limit_of_nothing_never_resets(self) -> None:
        reached = await refused(licence(messages_per_minute=0))

        assert reached.retry_after_s is None
        assert "includes no messages" in str(reached)

    async def test_fifty_at_once_get_ten_through(self) -> None:
        results = await asyncio.gather(*(send(licence()) for _ in range(50)), return_exceptions=True)

        assert sum(isinstance(result, tuple) for result in results) == 10
        assert sum(isinstance(result, LimitReached) for result in results) == 40

    async def test_users_do_not_share_a_window(self) -> None:
        of = licence(messages_per_minute=1)
        await send(of)

        await send(replace(of, user_id="demo-pro"))

    async def test_looking_uses_nothing(self) -> None:
        await send(licence())

        assert [await message_windows(licence()) for _ in range(3)][-1][0].used == 1

    async def test_times_that_no_window_needs_are_erased(self) -> None:
        of = licence()
        await send(of)
        await let_pass(26 * 3600)
        await send(of)

        assert await sweep_messages() == 1
        assert await kept() == 1
        assert (await send(of))[1].used == 2
        await let_pass(26 * 3600)
        assert await sweep_messages() == 2
        assert (await send(of))[1].used == 1, "numbers may begin anew"
        assert SWEEP_BATCH > 1


limits = st.none() | st.integers(0, 4)
# All waits are multiples of 10 s, so that a slow machine moves no message over the edge of a window.
steps = st.lists(st.tuples(st.sampled_from([0, 10, 20, 50, 60, 6 * 3600, 18 * 3600]), limits, limits), max_size=25)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("users")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(steps)
def test_the_windows_do_what_counting_would(taken: list[tuple[int, int | None, int | None]]) -> None:
    """Against the naive model: a list of times, counted; limits change at every step as an administrator may."""

    async def play() -> None:
        await open_pool()
        try:
            async with connection() as conn:
                await conn.execute("DELETE FROM accepted_messages")
            await _compare(taken)
        finally:
            await close_pool()

    asyncio.run(play())


async def _compare(taken: list[tuple[int, int | None, int | None]]) -> None:
    now, accepted = 0, list[int]()
    for wait_s, per_minute, per_day in taken:
        now += wait_s
        await let_pass(wait_s)
        in_minute, in_day = (sum(at > now - seconds for at in accepted) for seconds in (60, 24 * 3600))
        allowed = (per_minute is None or in_minute < per_minute) and (per_day is None or in_day < per_day)
        of = licence(messages_per_minute=per_minute, messages_per_day=per_day)
        if allowed:
            assert [window.used for window in await send(of)] == [in_minute + 1, in_day + 1]
            accepted.append(now)
        else:
            _check_reset(await refused(of), accepted, now=now, caps=((60, per_minute), (24 * 3600, per_day)))


def _check_reset(
    reached: LimitReached, accepted: list[int], *, now: int, caps: tuple[tuple[int, int | None], ...]
) -> None:
    """The first moment at which counting would allow one more, if nothing is sent until then."""
    if any(cap == 0 for _, cap in caps):
        assert reached.retry_after_s is None
        return
    free = [sorted(accepted)[-cap] + seconds for seconds, cap in caps if cap and len(accepted) >= cap]
    expected = max(free) - now
    assert reached.retry_after_s is not None
    assert expected - 5 <= reached.retry_after_s <= expected


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (timedelta(seconds=0.2), "in 1 second"),
        (timedelta(seconds=23), "in 23 seconds"),
        (timedelta(minutes=5), "at 14:10 UTC, in 5 min"),
        (timedelta(hours=3, minutes=11, seconds=1), "at 17:17 UTC, in 3 h 12 min"),
        (timedelta(hours=24), "at 14:05 UTC, in 24 h 0 min"),
    ],
)
def test_a_moment_is_told_exactly_and_never_too_early(left: timedelta, said: str) -> None:
    assert moment(NOW + left, now=NOW) == said


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (
            licence(),
            "10 messages a minute. You can write again in 23 seconds. The Pro licence has 60 messages a minute",
        ),
        (licence(messages_per_minute=60), "The Enterprise licence has 300 messages a minute"),
        (licence(messages_per_minute=400), "Your administrator can raise it."),
    ],
)
def test_a_refusal_says_what_was_reached_when_it_resets_and_who_has_more(of: Licence, said: str) -> None:
    limit: Any = of.limits.messages_per_minute
    window = Window("minute", 60, limit, limit, resets_in_s=23, resets_at=NOW + timedelta(seconds=23))

    assert said in messages_reached(window, of, now=NOW)


@given(st.sampled_from(["minute", "day"]), st.integers(0, 10**12), st.integers(1, 86_400))
def test_any_limit_is_told_in_words(name: Any, limit: int, left_s: int) -> None:
    """Whatever a licence's own limits say, a refusal has words."""
    of = licence(messages_per_minute=limit, messages_per_day=limit)
    window = Window(name, 60, limit, limit, resets_in_s=left_s, resets_at=NOW + timedelta(seconds=left_s))

    said = messages_reached(window, of, now=NOW)

    assert (f"your licence: {limit:,} message" in said) == (limit > 0)
    assert "administrator" in said
