"""The record of what users use: by day (UTC), model and channel."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, LiteralString

from psycopg.rows import class_row

from gateway.db import Connection, connection

_ADDED: LiteralString = """
    ON CONFLICT (user_id, day, model, channel) DO UPDATE SET turns = u.turns + excluded.turns,
        failed_turns = u.failed_turns + excluded.failed_turns, tool_calls = u.tool_calls + excluded.tool_calls,
        workspace_s = u.workspace_s + excluded.workspace_s
"""
_TODAY: LiteralString = "(clock_timestamp() AT TIME ZONE 'UTC')::date"


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """What was used. `cached_tokens` are part of `input_tokens`; models without a known price are not in `cost_usd`."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    turns: int = 0
    failed_turns: int = 0
    tool_calls: int = 0
    workspace_s: int = 0

    def __add__(self, other: "Amounts") -> "Amounts":
        """The sum."""
        return Amounts(**{name: getattr(self, name) + getattr(other, name) for name in AMOUNTS})

    def as_json(self) -> dict[str, Any]:
        """The amounts as numbers; the workspace's time in minutes."""
        values = {name: getattr(self, name) for name in AMOUNTS if name != "workspace_s"}
        return values | {"cost_usd": float(self.cost_usd), "workspace_minutes": round(self.workspace_s / 60, 1)}


AMOUNTS = tuple(each.name for each in fields(Amounts))
# The columns of an export, in their order.
COLUMNS = ("day", "model", "channel", *Amounts().as_json())


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageLine(Amounts):
    """What a user used on a day of a model through a channel; both are blank for the workspace's time."""

    user_id: str
    day: date
    model: str
    channel: str

    def as_json(self) -> dict[str, Any]:
        """The line without its user."""
        return {"day": self.day.isoformat(), "model": self.model, "channel": self.channel} | Amounts.as_json(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserTotal(Amounts):
    """What a user used in a period."""

    user_id: str

    def as_json(self) -> dict[str, Any]:
        """The total with its user."""
        return {"user_id": self.user_id} | Amounts.as_json(self)


async def add_turn(conn: Connection, *, user_id: str, model: str, channel: str, failed: bool) -> None:
    """Count a turn that has ended, in the transaction that ends it."""
    await conn.execute(
        "INSERT INTO usage AS u (user_id, day, model, channel, turns, failed_turns)"
        f" VALUES (%s, {_TODAY}, %s, %s, 1, %s) {_ADDED}",
        (user_id, model, channel, int(failed)),
    )


async def add_tool_calls(conn: Connection, calls: int, *, user_id: str, model: str, channel: str) -> None:
    """Count calls that no step of a model has asked for, in the transaction that ends their turn's attempt."""
    await conn.execute(
        f"INSERT INTO usage AS u (user_id, day, model, channel, tool_calls) VALUES (%s, {_TODAY}, %s, %s, %s) {_ADDED}",
        (user_id, model, channel, calls),
    )


async def add_workspace_time(conn: Connection, seconds: Iterable[tuple[str, int]]) -> None:
    """Add the seconds that users' workspaces ran."""
    async with conn.cursor() as cursor:
        # In one order everywhere, so that no two transactions wait for each other.
        await cursor.executemany(
            f"INSERT INTO usage AS u (user_id, day, workspace_s) VALUES (%s, {_TODAY}, %s) {_ADDED}", sorted(seconds)
        )


async def usage_of(user_id: str, *, since: date, until: date | None = None) -> list[UsageLine]:
    """The user's lines from `since` to `until` (None = today), the oldest first."""
    async with connection() as conn, conn.cursor(row_factory=class_row(UsageLine)) as cursor:
        await cursor.execute(
            "SELECT user_id, day, model, channel, input_tokens, cached_tokens, output_tokens, cost_usd, turns, failed_turns,"
            " tool_calls, workspace_s FROM usage WHERE user_id = %s AND day >= %s AND day <= COALESCE(%s::date, 'infinity')"
            " ORDER BY day, model, channel",
            (user_id, since, until),
        )
        return await cursor.fetchall()


async def usage_by_user(*, since: date, limit: int) -> list[UserTotal]:
    """Each user's total from `since` on: the dearest first, then those with the most tokens; at most `limit`."""
    async with connection() as conn, conn.cursor(row_factory=class_row(UserTotal)) as cursor:
        await cursor.execute(
            "SELECT user_id, sum(input_tokens)::bigint AS input_tokens, sum(cached_tokens)::bigint AS cached_tokens,"
            " sum(output_tokens)::bigint AS output_tokens, sum(cost_usd) AS cost_usd, sum(turns)::bigint AS turns,"
            " sum(failed_turns)::bigint AS failed_turns, sum(tool_calls)::bigint AS tool_calls,"
            " sum(workspace_s)::bigint AS workspace_s FROM usage WHERE day >= %s GROUP BY user_id"
            " ORDER BY sum(cost_usd) DESC, sum(input_tokens + output_tokens) DESC, user_id LIMIT %s",
            (since, limit),
        )
        return await cursor.fetchall()


def total(lines: Iterable[Amounts]) -> Amounts:
    """The sum of lines."""
    return sum(lines, start=Amounts())


def first_of_month() -> date:
    """The first day of this month, UTC."""
    return datetime.now(UTC).date().replace(day=1)
