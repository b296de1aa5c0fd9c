"""Run a strategy's `signals` in the sandbox: for each set of parameters the target weight of each bar.

Arguments: `source`, `symbols`, `params` (a list of sets), `check` (null, "contract", "lookahead"); arrays per symbol
`SPX/time` (int64 nanoseconds since the epoch), `SPX/open`, … Result arrays `0/SPX` are the weights of the first set for
SPX, float64, as long as its bars, finite and in [-1, 1]. "contract" raises nothing that is the strategy's fault: what is
wrong stands in `problems`.
"""

from __future__ import annotations

from typing import Any

from mcp_server.jobs.contract import Refused, Result, Task
from mcp_server.jobs.lookahead import check_look_ahead
from mcp_server.jobs.strategy_code import Strategy, frames_of
from mcp_server.jobs.weights import Fault, Weights

CHECKS = (None, "contract", "lookahead")


def run(task: Task) -> Result:
    """Weights of every set of parameters. Raises Refused with the line when the strategy fails or is wrong."""
    arguments = task.arguments
    try:
        weights = _weights(task, arguments["source"], checked=arguments["check"] is not None)
    except Fault as fault:
        if arguments["check"] == "contract":
            return Result(values={"problems": [fault.as_values()]})
        raise Refused(str(fault), fault.line) from None
    arrays = {f"{index}/{symbol}": values for index, each in enumerate(weights) for symbol, values in each.items()}
    return Result(values={"problems": []}, arrays=arrays)


def _weights(task: Task, source: str, *, checked: bool) -> list[Weights]:
    strategy = Strategy(source)
    frames = frames_of(task.arrays, task.arguments["symbols"])
    runs: list[dict[str, Any]] = task.arguments["params"]
    found = []
    for done, params in enumerate(runs):
        weights = strategy.weights(frames, params)
        if checked:
            check_look_ahead(strategy, frames, params=params, weights=weights)
        found.append(weights)
        if len(runs) > 1:
            task.report(done + 1, len(runs), f"signals of {done + 1} of {len(runs)} sets")
    return found
