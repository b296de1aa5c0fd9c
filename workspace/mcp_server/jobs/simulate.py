"""Simulate an account that follows target weights: equity, trades and figures, each run beside buy and hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy

from mcp_server.jobs.contract import Refused, Result, Task
from mcp_server.jobs.engine import Costs, Floats, Market, keep_book
from mcp_server.jobs.metrics import Course, by_year, course_of, drawdown_of, measure
from mcp_server.jobs.trades import Trade, trades_of
from mcp_server.trading import BASIS_POINT

# What a strategy that trades five times a week does in twenty years; as JSON 1.4 MB.
MOST_TRADES = 5_000

# A weight may pass 1 by what summing leaves.
SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class Simulated:
    """A run: its course, its trades and at which bar the account was empty, if ever."""

    course: Course
    trades: list[Trade]
    ruined_at: int | None
    scaled: int


def run(task: Task) -> Result:
    """Simulate `runs` sets of weights over the same bars.

    Arguments: `symbols`; `runs`, how many; `fee_bps` and `slippage_bps` of the traded value; `ranges`, pairs
    [first, past) of bars to measure beside the whole; `detail`, whether the first run's curves and trades are wanted;
    `before` and `of`, where this job stands in a longer one, for its progress. Arrays: `SPX/time` (ns since 1970),
    `SPX/open`, `SPX/close` by symbol, `0/SPX` the weights of run 0. The trades are a blob of JSON. Raises Refused.
    """
    arguments = task.arguments
    market = read_market(arguments["symbols"], task.arrays)
    costs = Costs(arguments["fee_bps"] * BASIS_POINT, arguments["slippage_bps"] * BASIS_POINT)
    ranges = [tuple(each) for each in arguments.get("ranges", [])]
    measured = []
    simulated = None
    for index in range(arguments["runs"]):
        one = simulate(market, read_weights(market, task.arrays, index), costs)
        simulated = simulated or one
        measured.append(_figures(market, one, ranges))
        done = arguments.get("before", 0) + index + 1
        total = arguments.get("of", arguments["runs"])
        task.report(done, total, f"{done} of {total} runs")
    benchmark = simulate(market, numpy.full(market.closes.shape, 1 / len(market.symbols)), costs)
    values = {"runs": measured, "benchmark": _figures(market, benchmark, ranges)}
    if not arguments.get("detail") or simulated is None:
        return Result(values)
    return Result(
        values | {"years": _years(simulated.course, benchmark.course)},
        arrays=_curves(simulated, benchmark),
        blobs={"trades.json": json.dumps([_row(market, trade) for trade in simulated.trades[:MOST_TRADES]]).encode()},
    )


def simulate(market: Market, weights: Floats, costs: Costs) -> Simulated:
    """One account from its first bar to its last."""
    within, scaled = _without_leverage(weights)
    book = keep_book(market, within, costs)
    return Simulated(course_of(market, book, costs), trades_of(market, book, costs), book.ruined_at, scaled)


def read_market(symbols: list[str], arrays: Mapping[str, Any]) -> Market:
    """The bars of all symbols, which have the same times. Raises Refused."""
    times = numpy.asarray(arrays[f"{symbols[0]}/time"], dtype=numpy.int64)
    opens, closes = (
        numpy.column_stack([numpy.asarray(arrays[f"{symbol}/{name}"], dtype=float) for symbol in symbols])
        for name in ("open", "close")
    )
    if not len(times):
        raise Refused("There are no bars to simulate over.")
    if not (numpy.isfinite(opens).all() and numpy.isfinite(closes).all() and opens.min() > 0 and closes.min() > 0):
        raise Refused("A price is missing or not above 0; a backtest needs an open and a close for every bar.")
    if (numpy.diff(times) <= 0).any():
        raise Refused("The bars are not in the order of their times.")
    return Market(tuple(symbols), times, opens, closes)


def read_weights(market: Market, arrays: Mapping[str, Any], index: int) -> Floats:
    """The weights of one run, bars x symbols; no number is flat. Raises Refused."""
    columns = [numpy.asarray(arrays.get(f"{index}/{symbol}", ()), dtype=float) for symbol in market.symbols]
    if any(column.shape != market.times.shape for column in columns):
        raise Refused("There is not one weight for each bar.")
    weights = numpy.column_stack(columns)
    weights = numpy.where(numpy.isnan(weights), 0.0, weights)
    if numpy.abs(weights).max() > 1 + SLACK:
        raise Refused("A weight is beyond -1 to 1: the account would borrow. Divide the weights by their largest.")
    return weights


def _without_leverage(weights: Floats) -> tuple[Floats, int]:
    """Weights whose sizes sum to at most 1 on each bar, and on how many bars they were scaled down to that."""
    gross = numpy.abs(weights).sum(axis=1)
    over = gross > 1 + SLACK
    return numpy.where(over[:, None], weights / numpy.where(over, gross, 1.0)[:, None], weights), int(over.sum())


def _figures(market: Market, simulated: Simulated, ranges: list[tuple[int, ...]]) -> dict[str, Any]:
    course, trades = simulated.course, simulated.trades
    return {
        "metrics": measure(course, trades, first=0, past=len(market.times)),
        "parts": [measure(course, trades, first=first, past=past) for first, past in ranges],
        "ruined_at": None if simulated.ruined_at is None else int(market.times[simulated.ruined_at]),
        "scaled_bars": simulated.scaled,
    }


def _curves(simulated: Simulated, benchmark: Simulated) -> dict[str, Floats]:
    return {
        "equity": simulated.course.equity,
        "drawdown": drawdown_of(simulated.course.equity),
        "gross": simulated.course.gross,
        "benchmark": benchmark.course.equity,
    }


def _years(course: Course, benchmark: Course) -> list[dict[str, Any]]:
    beside = by_year(benchmark.times, benchmark.equity)
    return [
        {"year": year, "return_percent": grown, "benchmark_percent": beside[year]}
        for year, grown in by_year(course.times, course.equity).items()
    ]


def _row(market: Market, trade: Trade) -> dict[str, Any]:
    last = len(market.times) - 1
    return {
        "symbol": trade.symbol,
        "side": trade.side,
        "entry": int(market.times[trade.entry]),
        "exit": None if trade.exit is None else int(market.times[trade.exit]),
        "units": trade.units,
        "entry_price": trade.entry_price,
        "exit_price": trade.exit_price,
        "pnl": trade.pnl,
        "return_percent": trade.return_percent,
        "bars_held": (last if trade.exit is None else trade.exit) - trade.entry,
        "fees": trade.fees,
    }
