"""What a user has used and what is left, in numbers for programs and in words for people."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, date
from typing import Any

from accounts.budgets import BudgetState, budget_of
from accounts.errors import Window
from accounts.licences import Licence, NotLicensed, active_licence
from accounts.quotas import message_windows
from accounts.usage import Amounts, UsageLine, first_of_month, total, usage_of


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a licence's limits are used."""

    licence: Licence
    windows: tuple[Window, ...]
    budget: BudgetState

    def as_json(self) -> dict[str, Any]:
        """The limits as the API shows them; a limit of null is none."""
        limits, budget = self.licence.limits, self.budget
        return {
            "messages": [_window_json(window) for window in self.windows],
            "turns_at_once": limits.turns_at_once,
            "tokens_per_month": {
                "limit": limits.tokens_per_month, "used": budget.tokens_used, "reserved": budget.tokens_reserved,
                "resets_at": budget.resets_at,
            },
            "cost_usd_per_month": {
                "limit": limits.cost_usd_per_month, "used": float(budget.cost_used),
                "reserved": float(budget.cost_reserved), "resets_at": budget.resets_at,
            },
        }  # fmt: skip


async def standing_of(user_id: str) -> Standing | None:
    """How far the user's limits are used; None without a licence in force."""
    try:
        licence = await active_licence(user_id)
    except NotLicensed:
        return None
    windows, budget = await asyncio.gather(message_windows(licence), budget_of(user_id))
    return Standing(licence, windows, budget)


async def usage_json(user_id: str, *, since: date, until: date) -> dict[str, Any]:
    """The user's usage of a period by day, model and channel, its total, and how far the limits are used now."""
    standing, lines = await asyncio.gather(standing_of(user_id), usage_of(user_id, since=since, until=until))
    return {
        "since": since,
        "until": until,
        "limits": standing.as_json() if standing else None,
        "total": total(lines).as_json(),
        "days": [line.as_json() for line in lines],
    }


async def usage_words(user_id: str) -> str:
    """What `/usage` answers; "" without a licence in force."""
    standing, lines = await asyncio.gather(standing_of(user_id), usage_of(user_id, since=first_of_month()))
    return describe(standing, lines) if standing else ""


def describe(standing: Standing, lines: list[UsageLine]) -> str:
    """The month so far, in a few lines of markdown."""
    limits, budget = standing.licence.limits, standing.budget
    minute, day = standing.windows
    anew = f"{budget.resets_at.astimezone(UTC):%-d %B}"
    said = [
        f"**Messages:** {_of(minute.used, minute.limit)} in the last minute, {_of(day.used, day.limit)} in the last 24 hours",
        f"**Tokens this month:** {_of(budget.tokens_used, limits.tokens_per_month)}; it begins anew on {anew} (UTC)",
        _cost_line(budget, limits.cost_usd_per_month),
        _work_line(total(lines)),
    ]
    return "\n".join(f"- {line}" for line in said)


def _cost_line(budget: BudgetState, limit: float | None) -> str:
    return f"**Model costs this month:** ${budget.cost_used:,.2f}" + ("" if limit is None else f" of ${limit:,.2f}")


def _work_line(month: Amounts) -> str:
    minutes = round(month.workspace_s / 60)
    return (
        f"**Work this month:** {month.turns:,} answers, {month.tool_calls:,} tool calls, {minutes:,} workspace minutes"
    )


def _of(used: int, limit: int | None) -> str:
    return f"{used:,}" if limit is None else f"{used:,} of {limit:,}"


def _window_json(window: Window) -> dict[str, Any]:
    resets_at = window.resets_at if window.used else None
    return {
        "window": window.name, "seconds": window.seconds, "limit": window.limit, "used": window.used, "resets_at": resets_at,
    }  # fmt: skip
