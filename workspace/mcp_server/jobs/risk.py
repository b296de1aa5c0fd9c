"""What a backtest's returns say of the losses to come: value at risk, expected shortfall, drawdowns by bootstrap.

numpy alone. Losses are positive percentages of the account; a figure below 0 would be a gain and is given as 0.
"""

from __future__ import annotations

from typing import Any

import numpy
from numpy.typing import NDArray

from mcp_server.jobs.contract import Refused, Result, Task

Floats = NDArray[numpy.float64]

CONFIDENCES = (95, 99)
HORIZONS = (1, 10)
PERCENTILES = (5, 25, 50, 75, 95, 99)

# The share of paths is then known to about one percentage point: 2 * sqrt(0.25 / 5000) = 0.014 at worst.
PATHS = 5_000
# Paths are drawn in groups: 250 x 252 doubles are half a megabyte.
GROUP = 250

# With fewer, the worst hundredth is not even one return.
FEWEST_RETURNS = 100

# Of blocks this long (a trading month of daily bars) calm and stormy times survive the shuffling.
BLOCK = 21


def run(task: Task) -> Result:
    """Measure the returns of an equity curve.

    Arguments: `seed`, `horizon` (bars that a path of the bootstrap has), `limit_percent` (a drawdown whose probability
    is wanted, or None). Array: `equity`. Raises Refused for too few bars.
    """
    equity = numpy.asarray(task.arrays["equity"], dtype=float)
    alive = int(numpy.argmax(equity <= 0)) + 1 if (equity <= 0).any() else len(equity)
    returns = equity[1:alive] / equity[: alive - 1] - 1
    if len(returns) < FEWEST_RETURNS:
        raise Refused(
            f"The backtest has {len(returns)} returns, {FEWEST_RETURNS} are needed to speak of its risk. "
            "Run it over a longer range."
        )
    depths = bootstrap(returns, horizon=task.arguments["horizon"], seed=task.arguments["seed"])
    limit = task.arguments.get("limit_percent")
    return Result(
        {
            "returns": len(returns),
            "value_at_risk": tail_losses(returns),
            "drawdown": {
                "bars": task.arguments["horizon"],
                "paths": len(depths),
                "block": min(BLOCK, len(returns)),
                "mean_percent": _percent(depths.mean()),
                "percentiles": {str(each): _percent(numpy.percentile(depths, each)) for each in PERCENTILES},
                "over_limit_percent": None if limit is None else _percent((depths > limit / 100).mean()),
            },
        }
    )


def tail_losses(returns: Floats) -> list[dict[str, Any]]:
    """Value at risk and expected shortfall, historical for one bar and times the root of the bars for more."""
    found = []
    for confidence in CONFIDENCES:
        at_risk, shortfall = historical(returns, confidence)
        found += [
            {
                "confidence_percent": confidence,
                "bars": bars,
                "value_at_risk_percent": _percent(min(at_risk * bars**0.5, 1.0)),
                "expected_shortfall_percent": _percent(min(shortfall * bars**0.5, 1.0)),
            }
            for bars in HORIZONS
        ]
    return found


def historical(returns: Floats, confidence: float) -> tuple[float, float]:
    """The loss that `confidence` percent of the returns stay within, and the mean loss of the others."""
    ordered = numpy.sort(returns)
    beyond = max(1, int(len(ordered) * (100 - confidence) / 100))
    at_risk = max(0.0, float(-ordered[beyond - 1]))
    return at_risk, max(at_risk, float(-ordered[:beyond].mean()))


def bootstrap(returns: Floats, *, horizon: int, seed: int) -> Floats:
    """The deepest drawdown of each of PATHS paths put together from blocks of the returns, as shares, 0 to 1.

    Blocks wrap around the end (circular block bootstrap, Politis and Romano 1992), so that each return is drawn
    equally often. The same seed gives the same paths.
    """
    random = numpy.random.Generator(numpy.random.PCG64(seed))
    block = min(BLOCK, len(returns))
    blocks = -(-horizon // block)
    groups = []
    for _ in range(PATHS // GROUP):
        starts = random.integers(0, len(returns), size=(GROUP, blocks))
        places = (starts[:, :, None] + numpy.arange(block)) % len(returns)
        growth = numpy.cumprod(1 + returns[places.reshape(GROUP, -1)[:, :horizon]], axis=1)
        highest = numpy.maximum(numpy.maximum.accumulate(growth, axis=1), 1.0)
        groups.append((1 - growth / highest).max(axis=1))
    return numpy.concatenate(groups)


def _percent(share: float) -> float:
    return float(f"{100 * share:.10g}")
