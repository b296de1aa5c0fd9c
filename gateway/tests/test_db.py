"""What a server's connections keep of the statements that it sends again and again."""

import asyncio
from typing import Any

import pytest

from gateway.db import close_pool, connection, open_pool

pytestmark = pytest.mark.django_db(transaction=True)

# A list of values makes its estimates differ from those for any value, so that PostgreSQL itself would plan it each time.
STATEMENT = "SELECT count(*) FROM unnest(%s::bigint[]) AS n JOIN usage u ON u.turns = n"
USES = 12


async def plans_after_uses() -> list[tuple[int, int]]:
    """Of the statement on one connection: plans for any value, and for one use's values."""
    await open_pool()
    try:
        async with connection() as conn:
            for use in range(USES):
                await conn.execute(STATEMENT, ([use],))
            cursor = await conn.execute(
                "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE '%unnest($1%'"
            )
            return await cursor.fetchall()
    finally:
        await close_pool()


def test_a_statement_is_planned_once_however_often_it_is_sent() -> None:
    assert asyncio.run(plans_after_uses()) == [(USES - 1, 0)]


def test_nothing_is_prepared_behind_a_transaction_pooler(settings: Any) -> None:
    settings.DATABASE_DIRECT_URL = "postgresql://elsewhere.example/gateway"

    assert asyncio.run(plans_after_uses()) == []
