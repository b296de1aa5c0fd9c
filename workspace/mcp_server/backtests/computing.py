"""The jobs of a backtest: the strategy's weights, the account that follows them, the picture, the risk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mcp_server.backtests.order import Order
from mcp_server.jobs.contract import Report, no_report
from mcp_server.sandbox import Answer, Job, Limits, Sandbox
from mcp_server.sandbox.jobs import MIB
from mcp_server.strategies.signals import Check, signals_job, weights_of

# What keeps the book, and what draws: imported once, before jobs are forked.
ENGINE_MODULES = ("numpy", "pandas", "bt")
CHART_MODULES = ("numpy", "matplotlib.figure", "matplotlib.backends.backend_agg")

# A strategy that loops over 10,000 bars in plain Python, checked for looking ahead, and 25 runs of it.
SIGNALS_S = 120.0
SIMULATION_S = 120.0

# Trades as JSON, five thousand at most, and the figures.
VALUES_BYTES = 4 * MIB


class Computing:
    """Runs the jobs in the sandbox. Every method blocks and raises SandboxFailed."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def weights(self, order: Order, runs: Sequence[Mapping[str, Any]], *, checked: bool) -> dict[str, Any]:
        """`0/SPX` and so on for each set of parameters; `checked`: StrategyFailed when a weight knows later bars."""
        check: Check = "lookahead" if checked else None
        job = signals_job(order.strategy.source, order.bars, params=runs, check=check, cpu_s=SIGNALS_S)
        answer = self._sandbox.run(job)
        return {
            f"{run}/{symbol}": values
            for run in range(len(runs))
            for symbol, values in weights_of(answer, order.bars, run=run).items()
        }

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
