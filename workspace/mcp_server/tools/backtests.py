"""Tools over backtests: run one, read one, try many sets of parameters, assess the risk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from mcp.server.mcpserver import Context
from pydantic import Field

from mcp_server.backtests.assessing import assess
from mcp_server.backtests.choosing import Metric
from mcp_server.backtests.computing import Computing
from mcp_server.backtests.grid import MOST_RUNS, runs_of
from mcp_server.backtests.order import Terms
from mcp_server.backtests.placing import Counter, Wish
from mcp_server.backtests.running import run_backtest
from mcp_server.backtests.split import Split
from mcp_server.backtests.store import Backtests, Record
from mcp_server.backtests.sweeping import Sweep, sweep
from mcp_server.errors import UnknownBacktest
from mcp_server.storage.preferences import PreferenceStore
from mcp_server.tools.arguments import Fee, Params, ParamValue, Slippage, StrategyWanted, Symbols
from mcp_server.tools.backtest_replies import BacktestReply, RiskReply, SweepReply
from mcp_server.tools.market import End, Interval, Start
from mcp_server.tools.offer import ADDS_OUTSIDE, READS, Offer
from mcp_server.tools.progress import reporter
from mcp_server.trading import FEE_BPS, SLIPPAGE_BPS

SWEPT_OUT_OF_SAMPLE_PERCENT = 30.0

OutOfSample = Annotated[
    float | None,
    Field(ge=5, le=95, description="Keep the last part of the bars apart and measure it by itself, percent, e.g. 30."),
]
Folds = Annotated[
    int | None,
    Field(ge=2, le=12, description="Instead: cut the range into this many parts of equal length, e.g. 5."),
]
BacktestId = Annotated[
    str, Field(min_length=1, max_length=40, description="Id of a backtest, e.g. 'bt-3f9c1e0b7a52d864'.")
]


@dataclass(frozen=True, slots=True)
class BacktestTools:
    """Backtests for a model."""

    counter: Counter
    computing: Computing
    store: Backtests
    preferences: PreferenceStore

    def offers(self) -> list[Offer]:
        return [
            Offer(self.run_backtest, "Run a backtest", ADDS_OUTSIDE, heavy=True),
            Offer(self.get_backtest, "Read a backtest", READS),
            Offer(self.sweep_strategy, "Try many parameters", ADDS_OUTSIDE, heavy=True),
            Offer(self.assess_risk, "Assess the risk", READS, heavy=True),
        ]

    def run_backtest(  # noqa: PLR0913 - a tool's parameters are what a client may ask for
        self,
        strategy: StrategyWanted,
        symbol: Symbols,
        *,
        start: Start = None,
        end: End = None,
        interval: Interval = None,
        params: Params = None,
        fee_bps: Fee = FEE_BPS,
        slippage_bps: Slippage = SLIPPAGE_BPS,
        out_of_sample_percent: OutOfSample = None,
        folds: Folds = None,
        context: Context[Any, Any],
    ) -> BacktestReply:
        """Run a strategy over past bars: growth, Sharpe, drawdown, trades, beside buy and hold, and a chart.

        The weight that the strategy decides on a bar's close is traded at the next bar's open, fees and slippage paid;
        between two changes of a weight the units are held. The account starts with 100,000, may be short, borrows
        nothing. A strategy whose weights change when later bars are taken away is refused with the first such bar.
        The same input gives the same id and digest, and the stored result. `trades_uri` is a resource with every trade.
        Good figures on the bars that a strategy was chosen on prove little: give out_of_sample_percent or folds.
        """
        terms = Terms(fee_bps, slippage_bps, Split(out_of_sample_percent, folds))
        order = self.counter.place(Wish(strategy, symbol, start, end, interval, params or {}, terms))
        record = run_backtest(order, computing=self.computing, store=self.store, report=reporter(context))
        return _reply(record)

    def get_backtest(self, id: BacktestId) -> BacktestReply:  # noqa: A002 - the tool's argument is called id
        """Read a backtest that was run before: its input, figures, notes and chart.

        Of a sweep read the resource backtest://{id}, or call sweep_strategy again: it gives the stored result.
        """
        record = self.store.find(id)
        if record.chart is None:
            raise UnknownBacktest(
                f"{record.id} is a sweep. Call sweep_strategy again for its stored result, or read the resource "
                f"backtest://{record.id}."
            )
        return _reply(record)

    def sweep_strategy(  # noqa: PLR0913 - a tool's parameters are what a client may ask for
        self,
        strategy: StrategyWanted,
        symbol: Symbols,
        grid: Annotated[
            dict[str, Annotated[list[ParamValue], Field(max_length=MOST_RUNS)]],
            Field(
                max_length=8,
                description=f"Values to try by parameter; every combination is run, at most {MOST_RUNS}. "
                "E.g. {'fast': [10, 20, 50], 'slow': [100, 200]}.",
            ),
        ],
        *,
        metric: Annotated[Metric, Field(description="What the best run is chosen by.")] = "sharpe",
        start: Start = None,
        end: End = None,
        interval: Interval = None,
        fee_bps: Fee = FEE_BPS,
        slippage_bps: Slippage = SLIPPAGE_BPS,
        out_of_sample_percent: OutOfSample = None,
        folds: Folds = None,
        context: Context[Any, Any],
    ) -> SweepReply:
        """Backtest every combination of parameter values, rank them, and say how far the best can be believed.

        The best is chosen on the first 70 % of the bars and judged on the last 30 % (out_of_sample_percent changes
        that); with folds, before each later fold the best so far is chosen and judged on the fold (walk-forward).
        `verdict` compares the two, `table` has every run. The best of many runs always looks good on the bars it was
        chosen on: report out_of_sample figures, and run_backtest for the chart of a chosen set. Progress counts runs.
        """
        if out_of_sample_percent is None and folds is None:
            out_of_sample_percent = SWEPT_OUT_OF_SAMPLE_PERCENT
        split = Split(out_of_sample_percent, folds)
        wish = Wish(strategy, symbol, start, end, interval, {}, Terms(fee_bps, slippage_bps, split))
        order = self.counter.place(wish)
        wanted = Sweep(order, runs_of(order.strategy, grid), metric)
        record = sweep(wanted, computing=self.computing, store=self.store, report=reporter(context))
        return SweepReply.model_validate(record.summary)

    def assess_risk(
        self,
        backtest: BacktestId,
    ) -> RiskReply:
        """Say what a backtest's returns mean for losses to come, and whether that is within the user's limits.

        Value at risk and expected shortfall (95 and 99 %, 1 and 10 bars), drawdowns of 5,000 simulated years drawn in
        blocks from the backtest's own returns, and a verdict against the preferences max_drawdown_percent,
        max_position_percent and risk_tolerance. Losses are positive percentages of the account. The past need not come
        again: losses can be larger than all that is shown.
        """
        record = self.store.find(backtest)
        assessed = assess(record, preferences=self.preferences.read(), computing=self.computing)
        return RiskReply.model_validate(assessed)


def told(summary: dict[str, Any]) -> dict[str, Any]:
    """What clients are told of a record with this summary; a sweep has no chart and no trades."""
    if summary["kind"] == "sweep":
        return summary
    place = f"backtest://{summary['id']}"
    return {**summary, "chart_uri": f"{place}/chart.png", "trades_uri": f"{place}/trades"}


def _reply(record: Record) -> BacktestReply:
    reply = BacktestReply.model_validate(told(record.summary))
    return reply.with_picture(record.chart) if record.chart else reply
