"""What the tools over backtests answer. Percentages are of the account; null = the figure has no meaning here."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mcp_server.tools.offer import Illustrated

Plain = bool | int | float | str


class Period(BaseModel):
    """First and last date of some bars."""

    model_config = ConfigDict(populate_by_name=True)

    from_date: str = Field(alias="from")
    to_date: str = Field(alias="to")


class DrawdownReply(Period):
    """The deepest fall: from the peak to the lowest bar; `recovered` when the peak was reached again."""

    recovered: str | None


class MetricsReply(BaseModel):
    """Figures of an account over some bars.

    Sharpe and Sortino are yearly, without a risk-free rate; Sortino divides by the root of the mean squared loss. A
    year has as many bars as the data has. `exposure_percent` is the mean value of all positions,
    `turnover_per_year` the value traded over the mean account. Win rate, profit factor and bars held are of closed
    trades. Amounts are in the instrument's currency, of an account that began with 100,000.
    """

    total_return_percent: float
    cagr_percent: float | None
    volatility_percent: float
    sharpe: float | None
    sortino: float | None
    max_drawdown_percent: float
    max_drawdown: DrawdownReply | None
    calmar: float | None
    exposure_percent: float
    largest_position_percent: float
    turnover_per_year: float | None
    trades: int
    open_trades: int
    win_rate_percent: float | None
    profit_factor: float | None
    average_bars_held: float | None
    fees_paid: float
    slippage_paid: float
    final_equity: float
    bars_per_year: float | None


class PartReply(Period):
    """A part of the range by itself; the account is carried over from the part before."""

    name: str
    metrics: MetricsReply
    benchmark: MetricsReply


class YearReply(BaseModel):
    """A calendar year, the first and the last as far as there are bars."""

    year: int
    return_percent: float
    benchmark_percent: float


class InputReply(Period):
    """What was run."""

    id: str
    digest: str
    strategy: str
    version: int
    strategy_digest: str
    params: dict[str, Plain]
    symbols: list[str]
    interval: str
    bars: int
    fee_bps: float
    slippage_bps: float


class BacktestReply(InputReply, Illustrated):
    """A backtest. `benchmark` is buy and hold of the same symbols, equally, with the same costs."""

    metrics: MetricsReply
    benchmark: MetricsReply
    parts: list[PartReply]
    years: list[YearReply]
    notes: list[str]
    chart_uri: str
    trades_uri: str


class ChosenReply(BaseModel):
    """A set of parameters on the bars that it was chosen on and on those after."""

    params: dict[str, Plain]
    in_sample: MetricsReply
    out_of_sample: MetricsReply


class StepReply(Period):
    """What was chosen on all bars before a part, by the metric's value there, and how it did on the part."""

    params: dict[str, Plain]
    before: float | None
    after: float | None
    total_return_percent: float
    max_drawdown_percent: float


class SweepReply(InputReply):
    """A sweep. `table` has every run, the best on `chosen_on` first; each row has the cells that `columns` names."""

    metric: str
    runs: int
    verdict: str
    rank_correlation: float | None
    chosen_on: Period
    judged_on: Period
    best: list[ChosenReply]
    walk_forward: list[StepReply]
    benchmark: MetricsReply
    columns: list[str]
    table: list[list[Any]]


class TailReply(BaseModel):
    """The loss that is not exceeded with this confidence, and the mean loss when it is."""

    confidence_percent: int
    bars: int
    value_at_risk_percent: float
    expected_shortfall_percent: float


class DrawdownsReply(BaseModel):
    """Deepest drawdowns of `paths` simulated paths of `bars` bars, drawn in blocks of `block` from the returns.

    `percentiles` of them; `over_limit_percent` is the share of paths that lose more than max_drawdown_percent.
    """

    bars: int
    paths: int
    block: int
    mean_percent: float
    percentiles: dict[str, float]
    over_limit_percent: float | None


class CheckReply(BaseModel):
    """One of the user's limits against its figure."""

    limit: str
    limit_percent: float
    value_percent: float
    within: bool
    text: str


class RiskReply(BaseModel):
    """The risk of a backtest; `within_limits` is null when the user stated none."""

    backtest: str
    verdict: str
    within_limits: bool | None
    checks: list[CheckReply]
    value_at_risk: list[TailReply]
    drawdown: DrawdownsReply
    returns: int
    max_drawdown_percent: float
    largest_position_percent: float
    exposure_percent: float
