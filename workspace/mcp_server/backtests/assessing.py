"""The risk of a stored backtest."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from mcp_server.backtests.computing import Computing
from mcp_server.backtests.limits import checks_of, verdict_of
from mcp_server.backtests.store import Record
from mcp_server.errors import UnknownBacktest
from mcp_server.storage.preferences import Preferences

# A path is a year of the bars that the backtest ran over, within what a computation can draw 5,000 times.
SHORTEST_PATH = 21
LONGEST_PATH = 2_520


def assess(record: Record, *, preferences: Preferences, computing: Computing) -> dict[str, Any]:
    """Losses to expect and whether they are within the user's limits. The same backtest has the same figures.

    Raises UnknownBacktest for a sweep, StrategyFailed for a backtest over too few bars.
    """
    if not record.equity:
        raise UnknownBacktest(
            f"{record.id} is a sweep. Give the params of its best run to run_backtest and assess that backtest."
        )
    metrics = record.summary["metrics"]
    limit = preferences.max_drawdown_percent
    horizon = min(max(round(metrics["bars_per_year"] or 0), SHORTEST_PATH), LONGEST_PATH)
    measured = computing.risk(
        record.equity, seed=int(record.summary["digest"][:16], 16), horizon=horizon, limit_percent=limit
    )
    checks = checks_of(preferences, metrics=metrics, drawdown=measured["drawdown"])
    return {
        "backtest": record.id,
        "verdict": verdict_of(checks),
        "within_limits": all(check.within for check in checks) if checks else None,
        "checks": [{**asdict(check), "within": check.within} for check in checks],
        **measured,
        "max_drawdown_percent": metrics["max_drawdown_percent"],
        "largest_position_percent": metrics["largest_position_percent"],
        "exposure_percent": metrics["exposure_percent"],
    }
