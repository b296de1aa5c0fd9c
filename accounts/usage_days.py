"""What all users together used each day (UTC). A day that is over is summed up once, so that nobody has to sum it again."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import LiteralString

from django.db.models import Count, Q, Sum

from accounts.usage_models import Usage, UsageDay
from gateway.db import connection

# So many days are summed up at once: a backlog is worked off in short steps.
DAYS_AT_ONCE = 7
# Any number, as long as nothing else in the database uses it for an advisory lock.
_CLOSING = 0x64617973

# An hour after midnight no transaction that began before it is still to commit: a turn is settled within seconds.
_CLOSE: LiteralString = """
    WITH bounds AS (
        SELECT COALESCE((SELECT max(day) + 1 FROM usage_days), (SELECT min(day) FROM usage)) AS first,
            (clock_timestamp() AT TIME ZONE 'UTC' - interval '1 hour')::date - 1 AS last
        WHERE pg_try_advisory_xact_lock(%s))
    INSERT INTO usage_days (day, active_users, turns, failed_turns, input_tokens, output_tokens, cost_usd)
    SELECT each.day::date, sums.* FROM bounds
    CROSS JOIN generate_series(bounds.first, LEAST(bounds.last, bounds.first + %s - 1), interval '1 day') AS each(day)
    CROSS JOIN LATERAL (
        SELECT count(DISTINCT user_id) FILTER (WHERE turns > 0), COALESCE(sum(turns), 0), COALESCE(sum(failed_turns), 0),
            COALESCE(sum(input_tokens), 0), COALESCE(sum(output_tokens), 0), COALESCE(sum(cost_usd), 0)
        FROM usage WHERE usage.day = each.day::date) AS sums
    ON CONFLICT (day) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class DayTotal:
    """All users' usage of a day; `active_users` are those of whom a turn ended."""

    day: date
    active_users: int = 0
    turns: int = 0
    failed_turns: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)


async def close_days() -> int:
    """Sum up the oldest days that are over and not summed up yet; how many there were, at most DAYS_AT_ONCE.

    None while another process does it.

    What is booked for such a day later on (nothing is, since a booking's day is that of the clock) would be missing.
    """
    async with connection() as conn:
        return (await conn.execute(_CLOSE, (_CLOSING, DAYS_AT_ONCE))).rowcount


def day_totals(*, first: date, last: date) -> list[DayTotal]:
    """Each day from `first` to `last`, also those on which nothing was used; days that are not summed up are summed now."""
    found = {row.day: row for row in _closed(first, last)}
    since = max(found, default=first - timedelta(days=1))
    found |= {row.day: row for row in _open(since, last)}
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return [found.get(day) or DayTotal(day) for day in days]


def _closed(first: date, last: date) -> list[DayTotal]:
    rows = UsageDay.objects.filter(day__gte=first, day__lte=last)
    return [
        DayTotal(
            row.day, row.active_users, row.turns, row.failed_turns, row.input_tokens, row.output_tokens, row.cost_usd
        )
        for row in rows
    ]


def _open(after: date, last: date) -> list[DayTotal]:
    rows = (
        Usage.objects.filter(day__gt=after, day__lte=last)
        .values("day")
        .annotate(
            active_users=Count("user_id", distinct=True, filter=Q(turns__gt=0)),
            all_turns=Sum("turns"),
            all_failed=Sum("failed_turns"),
            all_input=Sum("input_tokens"),
            all_output=Sum("output_tokens"),
            all_cost=Sum("cost_usd"),
        )
        .values_list("day", "active_users", "all_turns", "all_failed", "all_input", "all_output", "all_cost")
    )
    return [DayTotal(*row) for row in rows]
