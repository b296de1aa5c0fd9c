"""The jobs of a backtest: the strategy's weights, the account that follows them, the picture, the risk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mcp_server.backtests.order import Order
from mcp_server.jobs.contract import Report, no_report
from mcp_server.sandbox import Answer, Job, Limits, Sandbox
from mcp_server.sandbox.jobs import MIB
from mcp_server.strategies.lookahead import checked_weights
from mcp_server.strategies.signals import Signals, Weights, signals_job, weights_of

# What keeps the book, and what draws: imported once, before jobs are forked.
ENGINE_MODULES = ("numpy", "pandas", "bt")
CHART_MODULES = ("numpy", "matplotlib.figure", "matplotlib.backends.backend_agg")

# 25 runs of a strategy that loops over 10,000 bars in plain Python; for each job of the look-ahead check too.
SIGNALS_S = 120.0
SIMULATION_S = 120.0

# Trades as JSON, five thousand at most, and the figures.
VALUES_BYTES = 4 * MIB


class Computing:
    """Runs the jobs in the sandbox. Every method blocks and raises SandboxFailed."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def checked_weights(self, order: Order, params: Mapping[str, Any]) -> dict[str, Any]:
        """`0/SPX` and so on. Raises StrategyFailed when a weight knows later bars."""
        signals = Signals(order.strategy.source, order.bars, params, cpu_s=SIGNALS_S)
        return _named(checked_weights(signals, run=self._sandbox.run))

    def weights(self, order: Order, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """`0/SPX` and so on for each set of parameters, whatever they know."""
        job = signals_job(order.strategy.source, order.bars, params=runs, cpu_s=SIGNALS_S)
        answer = self._sandbox.run(job)
        found: dict[str, Any] = {}
        for run in range(len(runs)):
            found |= _named(weights_of(answer, order.bars, run=run), run=run)
        return found

    def account(self, order: Order, weights: Mapping[str, Any], *, report: Report = no_report, **more: Any) -> Answer:
        """What jobs/simulate.py answers; `more` are arguments of it."""
        job = Job(
            "mcp_server.jobs.simulate:run",
            {
                "symbols": order.symbols,
                "runs": len(weights) // len(order.bars),
                "fee_bps": order.terms.fee_bps,
                "slippage_bps": order.terms.slippage_bps,
                **more,
            },
            arrays={**order.arrays(), **weights},
            preload=ENGINE_MODULES,
            limits=Limits(
                wall_s=SIMULATION_S, cpu_s=SIMULATION_S, output_bytes=8 * 4 * len(order.times) + VALUES_BYTES
            ),
        )
        return self._sandbox.run(job, progress=report)

    def chart(self, order: Order, curves: Mapping[str, Any], **words: Any) -> bytes:
        """The PNG of equity and drawdown."""
        job = Job(
            "mcp_server.jobs.charts:run",
            words,
            arrays={"time": order.times, **{name: curves[name] for name in ("equity", "benchmark", "drawdown")}},
            preload=CHART_MODULES,
        )
        return self._sandbox.run(job).blobs["chart.png"]

    def risk(self, equity: Any, **arguments: Any) -> dict[str, Any]:
        """What jobs/risk.py answers."""
        job = Job("mcp_server.jobs.risk:run", arguments, arrays={"equity": equity}, preload=("numpy",))
        return self._sandbox.run(job).values


def _named(weights: Weights, *, run: int = 0) -> dict[str, Any]:
    return {f"{run}/{symbol}": values for symbol, values in weights.items()}
