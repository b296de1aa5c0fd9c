"""Ask the sandbox for a strategy's weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from pydantic import BaseModel, Field, ValidationError

from mcp_server.errors import JobDied
from mcp_server.market.bars import Bars
from mcp_server.sandbox import Answer, Job, Limits

if TYPE_CHECKING:
    import numpy as np

ENTRY = "mcp_server.jobs.signals:run"
PRELOAD = ("numpy", "pandas")

# A strategy that loops over 10,000 bars in plain Python, five times more for the look-ahead check.
CPU_S = 60.0
# The wall clock also runs while a job waits for its turn behind others.
WALL_PER_CPU = 3
VALUES_BYTES = 1024 * 1024

Check = Literal["contract", "lookahead"] | None
# Weights by symbol.
Weights = Mapping[str, "np.ndarray"]


class ToldProblem(BaseModel):
    """What is wrong with a strategy's answer."""

    name: Annotated[str, Field(max_length=100)]
    message: Annotated[str, Field(max_length=4000)]
    line: int | None


class Told(BaseModel):
    """The values that jobs/signals.py answers."""

    problems: Annotated[list[ToldProblem], Field(max_length=10)]
    undefined: dict[str, float]


class Runner(Protocol):
    """What runs jobs: the sandbox."""

    def run(self, job: Job, *, cancelled: Callable[[], bool] | None = None) -> Answer:
        """Run the job to its end. Raises a SandboxFailed, and Cancelled once `cancelled` says so."""


def signals_job(
    source: str,
    bars: Mapping[str, Bars],
    *,
    params: Sequence[Mapping[str, Any]],
    check: Check = None,
    cpu_s: float = CPU_S,
) -> Job:
    """The job that runs `signals` over `bars`, by symbol, once for each set of parameters."""
    arguments = {"source": source, "symbols": list(bars), "params": [dict(each) for each in params], "check": check}
    arrays = {f"{symbol}/{name}": column for symbol, each in bars.items() for name, column in each.arrays().items()}
    size = 8 * len(params) * sum(map(len, bars.values()))
    limits = Limits(wall_s=WALL_PER_CPU * cpu_s, cpu_s=cpu_s, output_bytes=size + VALUES_BYTES)
    return Job(ENTRY, arguments, arrays, PRELOAD, limits)


def told(answer: Answer) -> Told:
    """What the job found wrong. Raises JobDied for anything else, as weights_of does."""
    try:
        return Told.model_validate(answer.values)
    except ValidationError as error:
        raise JobDied("The strategy's answer is not what its run answers. Run it again.") from error


def weights_of(answer: Answer, bars: Mapping[str, Bars], *, run: int = 0) -> Weights:
    """The weights of one set of parameters. Raises JobDied for anything else: strategy code may have forged them."""
    found = {symbol: answer.arrays.get(f"{run}/{symbol}") for symbol in bars}
    for symbol, values in found.items():
        if values is None or values.shape != (len(bars[symbol]),) or not bool((abs(values) <= 1).all()):
            raise JobDied(f"The strategy's answer holds no weights in [-1, 1] for {symbol}. Run it again.")
    return {symbol: values for symbol, values in found.items() if values is not None}
