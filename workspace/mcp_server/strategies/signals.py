"""Ask the sandbox for a strategy's weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from mcp_server.errors import JobDied
from mcp_server.market.bars import Bars
from mcp_server.sandbox import Answer, Job

if TYPE_CHECKING:
    import numpy as np

ENTRY = "mcp_server.jobs.signals:run"
PRELOAD = ("numpy", "pandas")

Check = Literal["contract", "lookahead"] | None
# Weights by symbol.
Weights = Mapping[str, "np.ndarray"]


class Runner(Protocol):
    """What runs jobs: the sandbox."""

    def run(self, job: Job) -> Answer:
        """Run the job to its end. Raises a SandboxFailed."""


def signals_job(
    source: str, bars: Mapping[str, Bars], *, params: Sequence[Mapping[str, Any]], check: Check = None
) -> Job:
    """The job that runs `signals` over `bars`, by symbol, once for each set of parameters."""
    arguments = {"source": source, "symbols": list(bars), "params": [dict(each) for each in params], "check": check}
    arrays = {f"{symbol}/{name}": column for symbol, each in bars.items() for name, column in each.arrays().items()}
    return Job(ENTRY, arguments, arrays, PRELOAD)


def weights_of(answer: Answer, bars: Mapping[str, Bars], *, run: int = 0) -> Weights:
    """The weights of one set of parameters. Raises JobDied for anything else: strategy code may have forged them."""
    found = {symbol: answer.arrays.get(f"{run}/{symbol}") for symbol in bars}
    for symbol, values in found.items():
        if values is None or values.shape != (len(bars[symbol]),) or not bool((abs(values) <= 1).all()):
            raise JobDied(f"The strategy's answer holds no weights in [-1, 1] for {symbol}. Run it again.")
    return {symbol: values for symbol, values in found.items() if values is not None}
