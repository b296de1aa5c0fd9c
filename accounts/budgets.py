"""The month's tokens and money: set aside before a model call, settled after it with what it really took.

A month is the UTC calendar's, by the database's clock. One row holds what a user has used and set aside in it, so that a
single conditional UPDATE decides however many turns ask at once. A step is allowed while all that is used and set aside
stays within the budget; beyond that, one step at a time while anything is left. So parallel turns overspend by one step at
the most, and a budget that is smaller than the estimate of a step can still be used.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, LiteralString, NoReturn

from psycopg.rows import dict_row

from accounts.errors import BudgetExhausted
from accounts.licences import Licence
from accounts.limit_words import LimitName, budget_reached, budget_set_aside
from gateway.db import Connection, connection


@dataclass(frozen=True, slots=True)
class StepKey:
    """A step of a turn under one claim of it (its fence)."""

    turn: str
    fence: int
    step: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """The most that a step is expected to take; a `cost_usd` of None (no known price) is limited by tokens alone."""

    tokens: int
    cost_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """What a step took; `cached_tokens` are part of `input_tokens`."""

    model: str
    channel: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_usd: Decimal | None = None
    tool_calls: int = 0


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A user's month so far, and when the next begins."""

    tokens_used: int
    tokens_reserved: int
    cost_used: Decimal
    cost_reserved: Decimal
    resets_at: datetime
    now: datetime


_MONTH: LiteralString = "date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC')"
_RESERVED: LiteralString = "SELECT fence, step FROM budget_reservations WHERE turn_id = %(turn)s"
# What is set aside is not waited for to be on the disk, which each model call would wait for: a database that crashes in the next
# moments may forget it, and then the step it was for is never booked. The setting ends with the statement.
_RESERVE: LiteralString = f"""
    quick AS (SELECT set_config('synchronous_commit', 'off', true)),
    held AS (
        INSERT INTO budgets AS b (user_id, month, tokens_reserved, cost_reserved)
        SELECT %(user)s, {_MONTH}::date, %(tokens)s, %(cost)s FROM holding, quick
        WHERE NOT EXISTS ({_RESERVED}) AND COALESCE(%(token_cap)s::bigint > 0, true) AND COALESCE(%(cost_cap)s::numeric > 0, true)
        ON CONFLICT (user_id, month) DO UPDATE
        SET tokens_reserved = b.tokens_reserved + excluded.tokens_reserved,
            cost_reserved = b.cost_reserved + excluded.cost_reserved
        WHERE (COALESCE(b.tokens_used + b.tokens_reserved + excluded.tokens_reserved <= %(token_cap)s::bigint, true)
            AND COALESCE(b.cost_used + b.cost_reserved + excluded.cost_reserved <= %(cost_cap)s::numeric, true))
          OR (b.tokens_reserved = 0 AND COALESCE(b.tokens_used < %(token_cap)s::bigint, true)
            AND COALESCE(b.cost_used < %(cost_cap)s::numeric, true))
        RETURNING month)
    INSERT INTO budget_reservations (turn_id, fence, step, user_id, month, tokens, cost)
    SELECT %(turn)s, %(fence)s, %(step)s, %(user)s, month, %(tokens)s, %(cost)s FROM held
"""
_RELEASE: LiteralString = """
    WITH gone AS (
        DELETE FROM budget_reservations WHERE turn_id = %(turn)s
        AND COALESCE((fence, step) < (%(fence)s::bigint, %(step)s::int), true) RETURNING user_id, month, tokens, cost)
    UPDATE budgets b SET tokens_reserved = b.tokens_reserved - gone.tokens, cost_reserved = b.cost_reserved - gone.cost
    FROM gone WHERE b.user_id = gone.user_id AND b.month = gone.month
"""
_BOOK: LiteralString = """
    INSERT INTO usage AS u
        (user_id, day, model, channel, input_tokens, cached_tokens, output_tokens, cost_usd, tool_calls)
    SELECT user_id, (clock_timestamp() AT TIME ZONE 'UTC')::date, %(model)s, %(channel)s, %(input)s, %(cached)s, %(output)s,
        %(cost)s, %(tool_calls)s FROM settled
    ON CONFLICT (user_id, day, model, channel) DO UPDATE SET
        input_tokens = u.input_tokens + excluded.input_tokens, cached_tokens = u.cached_tokens + excluded.cached_tokens,
        output_tokens = u.output_tokens + excluded.output_tokens, cost_usd = u.cost_usd + excluded.cost_usd,
        tool_calls = u.tool_calls + excluded.tool_calls
"""
# The reservation is what makes it once: a settlement that is repeated finds none.
_SETTLE: LiteralString = (
    """
    WITH gone AS (
        DELETE FROM budget_reservations WHERE turn_id = %(turn)s AND fence = %(fence)s AND step = %(step)s
        RETURNING user_id, month, tokens, cost),
    settled AS (
        UPDATE budgets b SET
            tokens_reserved = b.tokens_reserved - gone.tokens, cost_reserved = b.cost_reserved - gone.cost,
            tokens_used = b.tokens_used + %(input)s + %(output)s, cost_used = b.cost_used + %(cost)s
        FROM gone WHERE b.user_id = gone.user_id AND b.month = gone.month RETURNING b.user_id)
"""
    + _BOOK
)
_SPEND: LiteralString = (
    f"""
    WITH settled AS (
        INSERT INTO budgets AS b (user_id, month, tokens_used, cost_used)
        VALUES (%(user)s, {_MONTH}::date, %(input)s + %(output)s, %(cost)s)
        ON CONFLICT (user_id, month) DO UPDATE
        SET tokens_used = b.tokens_used + excluded.tokens_used, cost_used = b.cost_used + excluded.cost_used
        RETURNING b.user_id)
"""
    + _BOOK
)
_STATE: LiteralString = f"""
    SELECT COALESCE(b.tokens_used, 0) AS tokens_used, COALESCE(b.tokens_reserved, 0) AS tokens_reserved,
        COALESCE(b.cost_used, 0) AS cost_used, COALESCE(b.cost_reserved, 0) AS cost_reserved,
        (m.month + interval '1 month') AT TIME ZONE 'UTC' AS resets_at, clock_timestamp() AS now
    FROM (SELECT {_MONTH} AS month) m LEFT JOIN budgets b ON b.user_id = %(user)s AND b.month = m.month::date
"""


async def reserve(
    conn: Connection, licence: Licence, key: StepKey, *, estimate: Estimate, holding: LiteralString = "SELECT 1"
) -> None:
    """Set the estimate aside for a step, in one statement; a step that is reserved again keeps its one reservation.

    What an earlier step of the turn has left is given back first. `holding` is a query by %(turn)s and %(fence)s: where it finds
    no row, nothing is set aside. Raises BudgetExhausted then, and when the month's budget does not allow the step. Outside of
    transactions only: all else in one would be committed without a wait for the disk, too.
    """
    values = {
        "turn": key.turn, "fence": key.fence, "step": key.step, "user": licence.user_id,
        "tokens": max(1, estimate.tokens), "cost": estimate.cost_usd or Decimal(0),
        "token_cap": licence.limits.tokens_per_month, "cost_cap": licence.limits.cost_usd_per_month,
    }  # fmt: skip
    while (await conn.execute(f"WITH holding AS ({holding}), {_RESERVE}", values)).rowcount == 0:
        left = await (await conn.execute(_RESERVED, values)).fetchone()
        if left == (key.fence, key.step):
            return
        if left is None or left > (key.fence, key.step):
            _refuse(licence, await budget_on(conn, licence.user_id))
        await conn.execute(_RELEASE, values)


async def settle(conn: Connection, key: StepKey, spent: Spent) -> bool:
    """Book what a step took; False, and nothing is booked, when it was before, or the turn has been taken over."""
    cursor = await conn.execute(
        _SETTLE,
        {
            "turn": key.turn, "fence": key.fence, "step": key.step, "model": spent.model, "channel": spent.channel,
            "input": spent.input_tokens, "cached": spent.cached_tokens, "output": spent.output_tokens,
            "cost": spent.cost_usd or Decimal(0), "tool_calls": spent.tool_calls,
        },
    )  # fmt: skip
    return cursor.rowcount == 1


async def spend(conn: Connection, user_id: str, spent: Spent) -> None:
    """Book what was spent without setting it aside: for what is small and done for the user after a turn."""
    values = {
        "user": user_id, "model": spent.model, "channel": spent.channel, "input": spent.input_tokens,
        "cached": spent.cached_tokens, "output": spent.output_tokens, "cost": spent.cost_usd or Decimal(0),
        "tool_calls": spent.tool_calls,
    }  # fmt: skip
    await conn.execute(_SPEND, values)


async def release(conn: Connection, turn: str) -> None:
    """Give back what a turn has set aside, for whoever takes it over or ends it; nothing is booked."""
    await conn.execute(_RELEASE, {"turn": turn, "fence": None, "step": None})


async def require_budget(conn: Connection, licence: Licence) -> None:
    """Raise BudgetExhausted when nothing is left of the month, so that a message need not wait to hear it."""
    if licence.limits.tokens_per_month is None and licence.limits.cost_usd_per_month is None:
        return
    state = await budget_on(conn, licence.user_id)
    if _used_up(licence, state):
        _refuse(licence, state)


async def budget_of(user_id: str) -> BudgetState:
    """The user's month so far."""
    async with connection() as conn:
        return await budget_on(conn, user_id)


async def budget_on(conn: Connection, user_id: str) -> BudgetState:
    """The same within a caller's transaction."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_STATE, {"user": user_id})
        row: dict[str, Any] | None = await cursor.fetchone()
    if row is None:
        raise RuntimeError("The clock gave no month.")
    return BudgetState(**row)


def _used_up(licence: Licence, state: BudgetState) -> LimitName | None:
    """The limit of which nothing is left."""
    tokens, cost = licence.limits.tokens_per_month, licence.limits.cost_usd_per_month
    if tokens is not None and state.tokens_used >= tokens:
        return "tokens_per_month"
    if cost is not None and state.cost_used >= Decimal(str(cost)):
        return "cost_usd_per_month"
    return None


def _refuse(licence: Licence, state: BudgetState) -> NoReturn:
    used_up = _used_up(licence, state)
    if used_up:
        message = budget_reached(licence, used_up, resets_at=state.resets_at)
        raise BudgetExhausted(message, retry_after_s=(state.resets_at - state.now).total_seconds())
    tight: LimitName = "tokens_per_month" if licence.limits.tokens_per_month is not None else "cost_usd_per_month"
    raise BudgetExhausted(budget_set_aside(licence, tight), retry_after_s=None)
