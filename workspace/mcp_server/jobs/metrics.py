"""Figures of a backtest over a range of its bars. Percentages are of the account; None where a figure has no meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy

from mcp_server.jobs.engine import Book, Costs, Floats, Ints, Market
from mcp_server.jobs.trades import Trade

YEAR_NS = 365.25 * 24 * 3600 * 1e9

# Values beyond this come from annualising a few bars and tell nothing.
LARGEST = 1e9


@dataclass(frozen=True, slots=True)
class Course:
    """How an account went, bar by bar, all of the same length.

    `gross` is the value of all positions over the equity at the close, `traded` and `paid` the value traded and the
    fees and slippage paid on the bar.
    """

    times: Ints
    equity: Floats
    gross: Floats
    largest: Floats
    traded: Floats
    fees: Floats
    slippage: Floats


def course_of(market: Market, book: Book, costs: Costs) -> Course:
    """The course of a book."""
    shares = numpy.abs(book.units * market.closes) / numpy.where(book.equity > 0, book.equity, numpy.inf)[:, None]
    traded = numpy.zeros(len(book.equity))
    traded[book.traded_at] = (numpy.abs(book.orders) * market.opens[book.traded_at]).sum(axis=1)
    return Course(
        times=market.times,
        equity=book.equity,
        gross=shares.sum(axis=1),
        largest=shares.max(axis=1),
        traded=traded,
        fees=traded * costs.fee,
        slippage=traded * costs.slippage,
    )


def measure(course: Course, trades: list[Trade], *, first: int, past: int) -> dict[str, Any]:
    """Figures over the bars from `first` to before `past`; a trade counts where it was entered."""
    base = max(first - 1, 0)
    equity, times = course.equity[base:past], course.times[base:past]
    part = slice(first, past)
    years = float(times[-1] - times[0]) / YEAR_NS
    return {
        **_performance(equity, times, years),
        "exposure_percent": _rounded(100 * course.gross[part].mean()),
        "largest_position_percent": _rounded(100 * course.largest[part].max()),
        "turnover_per_year": _turnover(course, part, years),
        "fees_paid": _rounded(course.fees[part].sum()),
        "slippage_paid": _rounded(course.slippage[part].sum()),
        **_trading([trade for trade in trades if first <= trade.entry < past]),
    }


def drawdown_of(equity: Floats) -> Floats:
    """The share lost since the highest equity before, 0 to -1."""
    return equity / numpy.maximum.accumulate(equity) - 1


def by_year(times: Ints, equity: Floats) -> dict[int, float]:
    """The return of each calendar year (UTC) in percent, from the last close of the year before."""
    years = times.astype("datetime64[ns]").astype("datetime64[Y]").astype(int) + 1970
    last = numpy.append(numpy.flatnonzero(numpy.diff(years)), len(years) - 1)
    ends, begins = equity[last], numpy.concatenate([equity[:1], equity[last[:-1]]])
    growth = numpy.where(begins > 0, ends / numpy.where(begins > 0, begins, 1.0), 1.0)
    return {int(year): _rounded(100 * (grown - 1)) for year, grown in zip(years[last], growth, strict=True)}


def _performance(equity: Floats, times: Ints, years: float) -> dict[str, Any]:
    returns = returns_of(equity)
    growth = float(equity[-1] / equity[0]) if equity[0] > 0 else 1.0
    per_year = len(returns) / years if years else 0.0
    cagr = _yearly(growth, years)
    drawdown = drawdown_of(equity) if equity[0] > 0 else numpy.zeros(len(equity))
    lowest = int(drawdown.argmin())
    deepest = float(-drawdown[lowest])
    peak = int(equity[: lowest + 1].argmax())
    back = numpy.flatnonzero(equity[lowest:] >= equity[peak])
    spread = float(returns.std(ddof=1)) if len(returns) > 1 else 0.0
    below = float(numpy.sqrt(numpy.square(numpy.minimum(returns, 0)).mean())) if len(returns) else 0.0
    return {
        "total_return_percent": _rounded(100 * (growth - 1)),
        "cagr_percent": None if cagr is None else _rounded(100 * cagr),
        "volatility_percent": _rounded(100 * spread * per_year**0.5),
        "sharpe": _ratio(returns, spread, per_year),
        "sortino": _ratio(returns, below, per_year),
        "max_drawdown_percent": _rounded(100 * deepest),
        "max_drawdown": None
        if deepest == 0
        else {"from": int(times[peak]), "to": int(times[lowest]), "recovered": _at(times, lowest, back)},
        "calmar": _rounded(cagr / deepest) if cagr is not None and deepest > 0 else None,
        "final_equity": _rounded(equity[-1]),
        "bars_per_year": _rounded(per_year) if per_year else None,
    }


def returns_of(equity: Floats) -> Floats:
    """The return of each bar after the first; 0 once the account is empty."""
    before = equity[:-1]
    return numpy.where(before > 0, equity[1:] / numpy.where(before > 0, before, 1.0) - 1, 0.0)


def _at(times: Ints, lowest: int, back: Ints) -> int | None:
    return int(times[lowest + back[0]]) if len(back) else None


def _yearly(growth: float, years: float) -> float | None:
    """The growth of one year that makes `growth` in all; none for a range so short that it explodes."""
    if years <= 0:
        return None
    rate = float(numpy.expm1(numpy.log(growth) / years)) if growth > 0 else -1.0
    return rate if rate < LARGEST else None


def _ratio(returns: Floats, spread: float, per_year: float) -> float | None:
    # Residue of the arithmetic is no spread: all returns are equal.
    if spread < 1e-12:
        return None
    return _rounded(returns.mean() / spread * per_year**0.5)


def _turnover(course: Course, part: slice, years: float) -> float | None:
    mean = float(course.equity[part].mean())
    return _rounded(course.traded[part].sum() / mean / years) if years and mean > 0 else None


def _trading(trades: list[Trade]) -> dict[str, Any]:
    closed = [trade for trade in trades if trade.exit is not None]
    won = sum(trade.pnl for trade in closed if trade.pnl > 0)
    lost = -sum(trade.pnl for trade in closed if trade.pnl < 0)
    return {
        "trades": len(trades),
        "open_trades": len(trades) - len(closed),
        "win_rate_percent": _rounded(100 * sum(trade.pnl > 0 for trade in closed) / len(closed)) if closed else None,
        "profit_factor": _rounded(won / lost) if lost else None,
        "average_bars_held": _rounded(sum((trade.exit or 0) - trade.entry for trade in closed) / len(closed))
        if closed
        else None,
    }


def _rounded(value: float) -> float:
    """To ten significant digits: more are residue of the arithmetic."""
    return float(f"{value:.10g}")
