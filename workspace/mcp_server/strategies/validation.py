"""Try a source before it is saved: what it declares, and a dry run over shipped bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mcp_server.errors import SandboxFailed, SandboxUnavailable, StrategyFailed, UnknownSymbol
from mcp_server.market.bars import Bars
from mcp_server.market.catalogue import Catalogue
from mcp_server.strategies.contract import Contract, Problem, read_contract
from mcp_server.strategies.lookahead import find_look_ahead
from mcp_server.strategies.signals import Runner, Signals, Told, Weights, told, weights_of
from mcp_server.strategies.suspects import Suspect, find_suspects, suspicion

# Two years of days: enough for an average of 200 bars to be known for most of them.
DRY_RUN_BARS = 500
DRY_RUN_SYMBOL = "SPX"
DRY_RUN_S = 10.0

MOSTLY = 0.5
# A weight that changes by less is the same position.
SAME_WEIGHT = 1e-9


@dataclass(frozen=True, slots=True)
class DryRun:
    """What the strategy did over the last bars of `symbol`; `exposure` is the mean of its absolute weights."""

    symbol: str
    first: str
    last: str
    bars: int
    exposure: float
    changes: int
    undefined: float


@dataclass(frozen=True, slots=True)
class Validation:
    """What was found. A source without problems can be saved; `notes` are worth a look all the same."""

    contract: Contract
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()
    dry_runs: tuple[DryRun, ...] = ()


class Validator:
    """Validates sources with the catalogue's bars in the sandbox."""

    def __init__(self, catalogue: Catalogue, sandbox: Runner) -> None:
        self._catalogue = catalogue
        self._sandbox = sandbox

    def validate(self, source: str) -> Validation:
        """Read the source and, when nothing is wrong with it so far, run it. Raises SandboxUnavailable."""
        contract = read_contract(source)
        if contract.problems:
            return Validation(contract, contract.problems)
        try:
            bars = self._bars(contract.symbols or (DRY_RUN_SYMBOL,))
            return self._run(contract, Signals(source, bars, {}, cpu_s=DRY_RUN_S))
        except SandboxUnavailable:
            raise
        except StrategyFailed as error:
            return Validation(contract, (Problem("StrategyFailed", str(error), error.line),))
        except (SandboxFailed, UnknownSymbol) as error:
            return Validation(contract, (Problem(type(error).__name__, str(error)),))

    def _run(self, contract: Contract, signals: Signals) -> Validation:
        """Run it, and again over fewer bars. Raises SandboxFailed."""
        answer = self._sandbox.run(signals.job(tells=True))
        found = told(answer)
        if found.problems:
            return Validation(contract, tuple(Problem(**each.model_dump()) for each in found.problems))
        weights = weights_of(answer, signals.bars)
        problem = find_look_ahead(signals, weights, run=self._sandbox.run)
        if problem is not None:
            return Validation(contract, (problem,))
        runs = _dry_runs(signals, weights, found)
        return Validation(contract, (), notes=_notes(runs, find_suspects(signals.source)), dry_runs=runs)

    def _bars(self, symbols: tuple[str, ...]) -> dict[str, Bars]:
        return {symbol: self._catalogue.find(symbol)[1].last(DRY_RUN_BARS) for symbol in symbols}


def _dry_runs(signals: Signals, weights: Weights, found: Told) -> tuple[DryRun, ...]:
    return tuple(
        _dry_run(bars, symbol=symbol, weights=weights[symbol], undefined=found.undefined.get(f"0/{symbol}", 0))
        for symbol, bars in signals.bars.items()
    )


def _dry_run(bars: Bars, *, symbol: str, weights: Any, undefined: float) -> DryRun:
    return DryRun(
        symbol=symbol,
        first=bars.date(0),
        last=bars.date(-1),
        bars=len(bars),
        exposure=round(float(abs(weights).mean()), 4),
        changes=int((abs(weights[1:] - weights[:-1]) > SAME_WEIGHT).sum()),
        undefined=round(undefined, 4),
    )


def _notes(runs: tuple[DryRun, ...], suspects: Sequence[Suspect]) -> tuple[str, ...]:
    notes = []
    if all(run.exposure == 0 for run in runs):
        notes.append(f"It never takes a position over the {runs[0].bars} bars of the dry run. Is that meant?")
    notes += [
        f"{run.undefined:.0%} of the weights of {run.symbol} are NaN, which holds nothing."
        for run in runs
        if run.undefined > MOSTLY
    ]
    return (*notes, *map(suspicion, suspects))
