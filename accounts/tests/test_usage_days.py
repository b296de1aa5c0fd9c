"""Days are summed up once, exactly, and never before they are over. Source: docs/operations.md, The admin."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from accounts.usage_days import DAYS_AT_ONCE, DayTotal, close_days, day_totals
from accounts.usage_models import Usage, UsageDay

pytestmark = pytest.mark.django_db(transaction=True)
# Two days ago is over by any clock; today is not.
TODAY = datetime.now(UTC).date()


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def use(user: str, day: date, **values: Any) -> None:
    Usage.objects.create(user_id=user, day=day, **{"turns": 1, "cost_usd": Decimal("0.000000001"), **values})


def close_all() -> int:
    closed = 0
    while number := async_to_sync(close_days)():
        closed += number
    return closed


def test_totals_are_the_same_before_and_after_their_days_are_summed_up() -> None:
    use("ada", ago(3), model="a/b", input_tokens=5, output_tokens=2)
    use("ada", ago(3), model="a/c", turns=2, failed_turns=1)
    use("bob", ago(3), turns=0, workspace_s=60)
    use("bob", ago(0))
    before = day_totals(first=ago(5), last=TODAY)

    closed = close_all()

    assert day_totals(first=ago(5), last=TODAY) == before
    assert before == [
        DayTotal(ago(5)),
        DayTotal(ago(4)),
        DayTotal(ago(3), 1, 3, 1, 5, 2, Decimal("0.000000003")),
        DayTotal(ago(2)),
        DayTotal(ago(1)),
        DayTotal(ago(0), 1, 1, 0, 0, 0, Decimal("0.000000001")),
    ]
    # Yesterday is over from an hour after midnight on.
    assert closed in {2, 3}
    assert not UsageDay.objects.filter(day=TODAY).exists()


def test_days_are_closed_in_short_steps_the_oldest_first() -> None:
    use("ada", ago(30))

    assert async_to_sync(close_days)() == DAYS_AT_ONCE
    assert list(UsageDay.objects.order_by("day").values_list("day", flat=True)) == [ago(30 - n) for n in range(7)]


def test_with_no_usage_there_is_nothing_to_close() -> None:
    assert async_to_sync(close_days)() == 0
    assert day_totals(first=TODAY, last=TODAY) == [DayTotal(TODAY)]


async def test_workers_that_close_at_once_close_each_day_once(pool: None) -> None:
    await Usage.objects.acreate(user_id="ada", day=ago(9), turns=4)

    await asyncio.gather(*(close_days() for _ in range(5)))

    rows = [row async for row in UsageDay.objects.filter(turns__gt=0)]
    assert [(row.day, row.turns) for row in rows] == [(ago(9), 4)]
