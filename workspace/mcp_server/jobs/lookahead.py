"""Run a strategy's `signals` again over fewer bars, for the look-ahead check (`strategies/lookahead.py`, which compares).

Arguments: `source`, `symbols`, `params` (one set), `until` (the moments of the last bars to be known, rising); arrays as in
`jobs/signals.py`. Result arrays `0/SPX` are the weights when only the bars up to the first moment are known; `faults` has by
the place of the moment what the strategy raised there.

The runs go from few bars to many, and each has copies of its own: what one run leaves behind for the next, in a module, a
file or memory, knows nothing that is later than the next one's bars.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mcp_server.jobs.contract import Refused, Result, Task
from mcp_server.jobs.strategy_code import Frames, Strategy, frames_of
from mcp_server.jobs.weights import Fault, Weights, without_gaps


def run(task: Task) -> Result:
    """Weights for each of `until`. Raises Refused for a source that breaks the contract."""
    try:
        strategy = Strategy(task.arguments["source"])
    except Fault as fault:
        raise Refused(str(fault), fault.line) from None
    frames = frames_of(task.arrays, task.arguments["symbols"])
    arrays: Weights = {}
    faults: dict[str, Any] = {}
    for place, moment in enumerate(task.arguments["until"]):
        try:
            weights = without_gaps(strategy.weights(_known(frames, moment), task.arguments["params"]))
        except Fault as fault:
            faults[str(place)] = fault.as_values()
        else:
            arrays |= {f"{place}/{symbol}": values for symbol, values in weights.items()}
    return Result({"faults": faults}, arrays=arrays)


def _known(frames: Frames, moment: int) -> Frames:
    last = np.datetime64(moment, "ns")
    return {
        symbol: frame.iloc[: frame.index.searchsorted(last, side="right")].copy() for symbol, frame in frames.items()
    }
