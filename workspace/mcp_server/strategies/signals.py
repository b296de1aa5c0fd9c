"""Ask the sandbox for a strategy's weights."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from pydantic import BaseModel, Field, ValidationError

from mcp_server.errors import JobDied
from mcp_server.market.bars import Bars
from mcp_server.sandbox import Answer, Job, Limits

if TYPE_CHECKING:
    import numpy as np

ENTRY = "mcp_server.jobs.signals:run"
SHORTENED_ENTRY = "mcp_server.jobs.lookahead:run"
PRELOAD = ("numpy", "pandas")

# A strategy that loops over 10,000 bars in plain Python, up to seventeen times more for the look-ahead check.
CPU_S = 60.0
# The wall clock also runs while a job waits for its turn behind others.
WALL_PER_CPU = 3
VALUES_BYTES = 1024 * 1024

# Weights by symbol.
Weights = Mapping[str, "np.ndarray"]

Run = Callable[[Job], Answer]


class ToldProblem(BaseModel):
    """What is wrong with a strategy's answer."""

    name: Annotated[str, Field(max_length=100)]
    message: Annotated[str, Field(max_length=4000)]
    line: int | None


class Told(BaseModel):
    """The values that jobs/signals.py answers."""

    problems: Annotated[list[ToldProblem], Field(max_length=10)]
    undefined: dict[str, float]


class ToldFaults(BaseModel):
    """The values that jobs/lookahead.py answers: by the place of a moment what the strategy raised."""

    faults: Annotated[dict[str, ToldProblem], Field(max_length=100)]


class Runner(Protocol):
    """What runs jobs: the sandbox."""

    def run(self, job: Job, *, cancelled: Callable[[], bool] | None = None) -> Answer:
        """Run the job to its end. Raises a SandboxFailed, and Cancelled once `cancelled` says so."""


@dataclass(frozen=True, slots=True)
class Signals:
    """A strategy over bars, by symbol, with one set of parameters; `cpu_s` is what each of its jobs may take."""

    source: str
    bars: Mapping[str, Bars]
    params: Mapping[str, Any]
    cpu_s: float = CPU_S

    def job(self, *, tells: bool = False) -> Job:
        """The job that runs it over all bars."""
        return signals_job(self.source, self.bars, params=[self.params], tells=tells, cpu_s=self.cpu_s)

    def shortened(self, until: Sequence[int]) -> Job:
        """The job that runs it over the bars up to each of these moments, rising. Later bars don't reach its process."""
        bars = {symbol: each[: bisect_right(each.times, until[-1])] for symbol, each in self.bars.items()}
        size = 8 * sum(bisect_right(each.times, moment) for each in bars.values() for moment in until)
        more = {"params": dict(self.params), "until": list(until)}
        limits = _limits(size, cpu_s=self.cpu_s)
        return Job(SHORTENED_ENTRY, _asked(self.source, bars) | more, _arrays(bars), PRELOAD, limits)


def signals_job(
    source: str,
    bars: Mapping[str, Bars],
    *,
    params: Sequence[Mapping[str, Any]],
    tells: bool = False,
    cpu_s: float = CPU_S,
) -> Job:
    """The job that runs `signals` over `bars`, by symbol, once for each set of parameters.

    `tells`: what is the strategy's fault is among the answer's problems and not raised.
    """
    arguments = _asked(source, bars) | {"params": [dict(each) for each in params], "tells": tells}
    size = 8 * len(params) * sum(map(len, bars.values()))
    return Job(ENTRY, arguments, _arrays(bars), PRELOAD, _limits(size, cpu_s=cpu_s))


def told(answer: Answer) -> Told:
    """What the job found wrong. Raises JobDied for anything else, as weights_of does."""
    try:
        return Told.model_validate(answer.values)
    except ValidationError as error:
        raise JobDied("The strategy's answer is not what its run answers. Run it again.") from error


def told_faults(answer: Answer) -> Mapping[str, ToldProblem]:
    """What a strategy raised over fewer bars. Raises JobDied for anything else."""
    try:
        return ToldFaults.model_validate(answer.values).faults
    except ValidationError as error:
        raise JobDied("The strategy's answer is not what its run answers. Run it again.") from error


def weights_of(answer: Answer, bars: Mapping[str, Bars], *, run: int = 0, until: int | None = None) -> Weights:
    """The weights of one run over the bars, up to `until`. Raises JobDied for anything else: they may be forged."""
    found = {symbol: answer.arrays.get(f"{run}/{symbol}") for symbol in bars}
    for symbol, values in found.items():
        length = len(bars[symbol]) if until is None else bisect_right(bars[symbol].times, until)
        if values is None or values.shape != (length,) or not bool((abs(values) <= 1).all()):
            raise JobDied(f"The strategy's answer holds no weights in [-1, 1] for {symbol}. Run it again.")
    return {symbol: values for symbol, values in found.items() if values is not None}


def _asked(source: str, bars: Mapping[str, Bars]) -> dict[str, Any]:
    return {"source": source, "symbols": list(bars)}


def _arrays(bars: Mapping[str, Bars]) -> dict[str, Any]:
    return {f"{symbol}/{name}": column for symbol, each in bars.items() for name, column in each.arrays().items()}


def _limits(size: int, *, cpu_s: float) -> Limits:
    return Limits(wall_s=WALL_PER_CPU * cpu_s, cpu_s=cpu_s, output_bytes=size + VALUES_BYTES)
