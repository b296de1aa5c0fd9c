"""A backtest's risk against what the user said they bear, in plain words with the numbers behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mcp_server.storage.preferences import Preferences

# How likely a year with a drawdown beyond the user's limit may be.
LIKELIHOOD_PERCENT = {"low": 1.0, "medium": 5.0, "high": 10.0}
USUAL = "medium"


@dataclass(frozen=True, slots=True)
class Check:
    """One limit against one figure, both in percent."""

    limit: str
    limit_percent: float
    value_percent: float
    text: str

    @property
    def within(self) -> bool:
        return self.value_percent <= self.limit_percent


def checks_of(preferences: Preferences, *, metrics: dict[str, Any], drawdown: dict[str, Any]) -> list[Check]:
    """Every limit that the user stated, against the backtest and its bootstrap."""
    checks = []
    if preferences.max_drawdown_percent is not None:
        checks += _drawdown_checks(
            preferences.max_drawdown_percent,
            tolerance=preferences.risk_tolerance or USUAL,
            worst=metrics["max_drawdown_percent"],
            drawdown=drawdown,
        )
    if preferences.max_position_percent is not None:
        largest = metrics["largest_position_percent"]
        checks.append(
            Check(
                "max_position_percent",
                preferences.max_position_percent,
                largest,
                f"the largest position was {largest:.1f} % of the account, your limit is "
                f"{preferences.max_position_percent:g} %",
            )
        )
    return checks


def _drawdown_checks(limit: float, *, tolerance: str, worst: float, drawdown: dict[str, Any]) -> list[Check]:
    likely, bearable = drawdown["over_limit_percent"], LIKELIHOOD_PERCENT[tolerance]
    return [
        Check(
            "max_drawdown_percent",
            limit,
            worst,
            f"the account fell {worst:.1f} % from a peak in the backtest, your limit is {limit:g} %",
        ),
        Check(
            "risk_tolerance",
            bearable,
            likely,
            f"{likely:.1f} % of {drawdown['paths']:,} simulated stretches of {drawdown['bars']} bars fall more than "
            f"{limit:g} %, with risk tolerance {tolerance} at most {bearable:g} % may",
        ),
    ]


def verdict_of(checks: Sequence[Check]) -> str:
    """One sentence that says whether the limits hold, and by what."""
    if not checks:
        return (
            "No limits to compare with: state max_drawdown_percent and max_position_percent with set_preferences, "
            "then ask again."
        )
    broken = [check.text for check in checks if not check.within]
    if broken:
        return f"Exceeds your limits: {'; '.join(broken)}."
    return f"Within your limits: {'; '.join(check.text for check in checks)}."
