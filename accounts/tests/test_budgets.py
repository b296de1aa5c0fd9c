"""A month's tokens and money. Source: DESIGN section 5: reserved per (turn, step), settled or released."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.budgets import (
    BudgetState,
    Estimate,
    Spent,
    StepKey,
    budget_of,
    release,
    require_budget,
    reserve,
    settle,
)
from accounts.errors import BudgetExhausted
from accounts.licences import Licence
from accounts.tiers import FEATURES, LIMITS
from accounts.usage import usage_of
from gateway.db import close_pool, connection, open_pool
from gateway.ids import new_id

USER = "demo-free"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC).date()


def licence(*, tokens: int | None = 1000, cost_usd: float | None = None) -> Licence:
    own = LIMITS["free"].model_copy(update={"tokens_per_month": tokens, "cost_usd_per_month": cost_usd})
    return Licence(USER, "", "free", FEATURES["free"], own, mcp_server_url="", expires_at=None)


def key() -> StepKey:
    return StepKey(new_id(), fence=1, step=1)


async def set_aside(of: Licence, step: StepKey, *, tokens: int, cost_usd: str | None = None) -> StepKey:
    async with connection() as conn, conn.transaction():
        await reserve(conn, of, step, estimate=Estimate(tokens, Decimal(cost_usd) if cost_usd else None))
    return step


async def pay(step: StepKey, *, tokens: int, cost_usd: str = "0") -> bool:
    spent = Spent("test/model", "web", tokens, 0, 0, Decimal(cost_usd), tool_calls=1)
    async with connection() as conn:
        return await settle(conn, step, spent)


async def refused(of: Licence, *, tokens: int, cost_usd: str | None = None) -> BudgetExhausted:
    with pytest.raises(BudgetExhausted) as reached:
        await set_aside(of, key(), tokens=tokens, cost_usd=cost_usd)
    return reached.value


async def state() -> tuple[float, ...]:
    """Tokens used and set aside, dollars used and set aside."""
    found: BudgetState = await budget_of(USER)
    return found.tokens_used, found.tokens_reserved, float(found.cost_used), float(found.cost_reserved)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("users", "pool")
class TestBudgets:
    async def test_what_is_not_used_is_given_back(self) -> None:
        step = await set_aside(licence(), key(), tokens=600, cost_usd="0.5")
        assert await state() == (0, 600, 0, 0.5)

        assert await pay(step, tokens=40, cost_usd="0.01")

        assert await state() == (40, 0, 0.01, 0)

    async def test_a_step_is_booked_once_however_often_it_is_settled(self) -> None:
        step = await set_aside(licence(), key(), tokens=600)

        assert [await pay(step, tokens=40) for _ in range(3)] == [True, False, False]

        assert (await state())[0] == 40
        (line,) = await usage_of(USER, since=LONG_AGO)
        assert (line.input_tokens, line.tool_calls, line.model, line.channel) == (40, 1, "test/model", "web")

    async def test_steps_side_by_side_stay_within_the_budget(self) -> None:
        await set_aside(licence(), key(), tokens=600)

        assert "set aside" in str(await refused(licence(), tokens=401))
        await set_aside(licence(), key(), tokens=400)

    async def test_one_alone_may_use_what_is_left(self) -> None:
        """A budget that is smaller than the estimate can be used to its end."""
        step = await set_aside(licence(tokens=10), key(), tokens=600)
        await pay(step, tokens=9)
        await pay(await set_aside(licence(tokens=10), key(), tokens=600), tokens=5)

        reached = await refused(licence(tokens=10), tokens=1)

        assert "10 tokens a month" in str(reached)
        assert "The Pro licence has 20,000,000 tokens a month" in str(reached)
        assert reached.retry_after_s is not None
        assert 0 < reached.retry_after_s <= 31 * 24 * 3600

    async def test_twenty_at_once_on_a_nearly_empty_budget_overspend_by_one_step_at_the_most(self) -> None:
        await pay(await set_aside(licence(), key(), tokens=1), tokens=950)
        keys = [key() for _ in range(20)]

        results = await asyncio.gather(
            *(set_aside(licence(), step, tokens=100) for step in keys), return_exceptions=True
        )

        through = [step for step in keys if step in results]
        assert len(through) == 1
        assert sum(isinstance(result, BudgetExhausted) for result in results) == 19
        await pay(through[0], tokens=100)
        assert await state() == (1050, 0, 0, 0)

    async def test_money_is_a_limit_of_its_own(self) -> None:
        of = licence(tokens=None, cost_usd=1.0)
        await pay(await set_aside(of, key(), tokens=100, cost_usd="0.4"), tokens=100, cost_usd="0.7")
        await set_aside(of, key(), tokens=100, cost_usd="0.3")
        await refused(of, tokens=100, cost_usd="0.01")

    async def test_a_price_that_nobody_knows_is_limited_by_tokens_alone(self) -> None:
        of = licence(tokens=1000, cost_usd=1.0)
        await set_aside(of, key(), tokens=500)
        await set_aside(of, key(), tokens=500)

        await refused(of, tokens=1)

    async def test_a_budget_of_nothing_allows_nothing(self) -> None:
        assert "no model calls" in str(await refused(licence(tokens=0), tokens=1))
        assert "no model calls" in str(await refused(licence(cost_usd=0), tokens=1))

    async def test_whoever_takes_a_turn_over_releases_what_it_had_set_aside(self) -> None:
        first = await set_aside(licence(), key(), tokens=600)
        async with connection() as conn:
            await release(conn, first.turn)
        second = await set_aside(licence(), StepKey(first.turn, fence=2, step=1), tokens=500)

        assert not await pay(first, tokens=10), "a worker that slept can settle nothing"
        assert (await state())[1] == 500
        await pay(second, tokens=10)
        assert await state() == (10, 0, 0, 0)

    async def test_a_step_that_is_reserved_again_holds_one_reservation(self) -> None:
        """As after a commit whose answer was lost."""
        step = key()
        for _ in range(3):
            await set_aside(licence(), step, tokens=600)

        assert (await state())[1] == 600

    async def test_a_message_hears_at_once_that_nothing_is_left(self) -> None:
        await pay(await set_aside(licence(), key(), tokens=1), tokens=1000)

        async with connection() as conn:
            with pytest.raises(BudgetExhausted, match="used up"):
                await require_budget(conn, licence())
            await require_budget(conn, licence(tokens=1001))
            await require_budget(conn, licence(tokens=None))

    async def test_another_month_begins_anew(self) -> None:
        await pay(await set_aside(licence(), key(), tokens=1), tokens=1000)
        async with connection() as conn:
            await conn.execute("UPDATE budgets SET month = month - interval '1 month'")

        await set_aside(licence(), key(), tokens=600)

    async def test_a_step_over_the_end_of_a_month_is_booked_where_it_began(self) -> None:
        step = await set_aside(licence(), key(), tokens=600)
        async with connection() as conn:
            await conn.execute("UPDATE budgets SET month = month - interval '1 month'")
            await conn.execute("UPDATE budget_reservations SET month = month - interval '1 month'")
        await pay(step, tokens=10)

        assert await state() == (0, 0, 0, 0)


@dataclass
class Book:
    """The same by hand: used, and what each turn has set aside."""

    cap: int
    used: int = 0
    held: dict[str, tuple[StepKey, int]] = field(default_factory=dict)

    def allows(self, tokens: int, *, turn: str) -> bool:
        held = sum(amount for other, (_, amount) in self.held.items() if other != turn)
        return self.used + held + tokens <= self.cap or (not held and self.used < self.cap)


moves = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "settle", "settle again", "take over"]), st.integers(0, 3), st.integers(1, 8)
    ),
    max_size=30,
)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("users")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.integers(0, 20), moves)
def test_any_order_of_steps_keeps_the_book(cap: int, moves: list[tuple[str, int, int]]) -> None:
    """Nothing is lost, booked twice or left set aside, and what is used passes the budget by one step at the most."""

    async def play() -> None:
        await open_pool()
        try:
            async with connection() as conn:
                await conn.execute("TRUNCATE budgets, budget_reservations, usage")
            await _play(Book(cap), moves)
        finally:
            await close_pool()

    asyncio.run(play())


async def _play(book: Book, moves: list[tuple[str, int, int]]) -> None:
    turns = [new_id() for _ in range(4)]
    last: dict[str, StepKey] = {}
    for number, (move, which, tokens) in enumerate(moves):
        turn = turns[which]
        if move == "reserve":
            await _reserve(book, StepKey(turn, fence=1, step=number), tokens)
        elif move == "settle" and turn in book.held:
            step, amount = book.held.pop(turn)
            # No more than was set aside: what a model takes beyond it is the one step.
            assert await pay(step, tokens=min(tokens, amount))
            book.used += min(tokens, amount)
            last[turn] = step
        elif move == "settle again" and turn in last:
            assert not await pay(last[turn], tokens=tokens)
        elif move == "take over":
            book.held.pop(turn, None)
            async with connection() as conn:
                await release(conn, turn)
        assert await state() == (book.used, sum(amount for _, amount in book.held.values()), 0, 0)
    assert book.used <= book.cap + 8


async def _reserve(book: Book, step: StepKey, tokens: int) -> None:
    allowed = book.allows(tokens, turn=step.turn)
    of: Any = licence(tokens=book.cap)
    if allowed:
        await set_aside(of, step, tokens=tokens)
        book.held[step.turn] = (step, tokens)
        return
    with pytest.raises(BudgetExhausted):
        await set_aside(of, step, tokens=tokens)
