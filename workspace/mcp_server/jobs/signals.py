"""Run a strategy's `signals` in the sandbox: for each set of parameters the target weight of each bar.

Arguments: `source`, `symbols`, `params` (a list of sets), `tells` (false: what is the strategy's fault raises Refused, true:
it stands in `problems`); arrays per symbol `SPX/time` (int64 nanoseconds since the epoch), `SPX/open`, … Result arrays
`0/SPX` are the weights of the first set for SPX, float64, as long as its bars, finite and in [-1, 1]; `undefined` has by the
same names the share of them that was NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mcp_server.jobs.contract import Refused, Result, Task
from mcp_server.jobs.strategy_code import Strategy, frames_of
from mcp_server.jobs.weights import Fault, Weights, without_gaps


def run(task: Task) -> Result:
    """Weights of every set of parameters. Raises Refused with the line when the strategy fails or is wrong."""
    try:
        weights = _weights(task)
    except Fault as fault:
        if task.arguments["tells"]:
            return Result(values={"problems": [fault.as_values()], "undefined": {}})
        raise Refused(str(fault), fault.line) from None
    arrays = {name: values for index, each in enumerate(weights) for name, values in _named(index, each).items()}
    undefined = {name: float(np.isnan(values).mean()) for name, values in arrays.items()}
    return Result(values={"problems": [], "undefined": undefined}, arrays=without_gaps(arrays))


def _weights(task: Task) -> list[Weights]:
    strategy = Strategy(task.arguments["source"])
    frames = frames_of(task.arrays, task.arguments["symbols"])
    runs: list[dict[str, Any]] = task.arguments["params"]
    found = []
    for index, params in enumerate(runs):
        found.append(strategy.weights(frames, params))
        if len(runs) > 1:
            task.report(index + 1, len(runs), f"signals of {index + 1} of {len(runs)} sets")
    return found


def _named(index: int, weights: Weights) -> Weights:
    return {f"{index}/{symbol}": values for symbol, values in weights.items()}
