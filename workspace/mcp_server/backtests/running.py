"""Run a backtest, or give the stored one of the same order."""

from __future__ import annotations

import json
from array import array
from typing import Any

from mcp_server.backtests.computing import Computing
from mcp_server.backtests.order import Order
from mcp_server.backtests.split import OUT_OF_SAMPLE
from mcp_server.backtests.store import Backtests, Record
from mcp_server.jobs.contract import Report
from mcp_server.strategies.suspects import find_suspects, suspicion

# Ids are read and typed by people; 64 bits don't meet by chance.
ID_CHARACTERS = 16

STEPS = 4


def run_backtest(order: Order, *, computing: Computing, store: Backtests, report: Report) -> Record:
    """The backtest of the order. Raises SandboxFailed, StrategyFailed when the strategy fails or looks ahead."""
    digest = order.digest()
    identity = f"bt-{digest[:ID_CHARACTERS]}"
    if store.has(identity, strategy=order.strategy.name, version=order.strategy.version):
        return store.find(identity)
    store.expect_room()
    report(0, STEPS, f"signals of {order.strategy.name} over {len(order.times)} bars, and the look-ahead check")
    weights = computing.checked_weights(order, order.params)
    report(1, STEPS, "trading")
    ranges = [[part.first, part.past] for part in order.parts]
    answer = computing.account(order, weights, detail=True, ranges=ranges)
    report(2, STEPS, "drawing")
    trades = [_dated(order, trade) for trade in json.loads(answer.blobs["trades.json"])]
    summary = {
        "id": identity,
        "digest": digest,
        "kind": "backtest",
        **about(order),
        **_figures(order, answer.values, listed=len(trades)),
    }
    chart = computing.chart(order, answer.arrays, **_words(order, summary))
    report(3, STEPS, "storing")
    record = Record(
        identity,
        order.strategy.name,
        order.strategy.version,
        summary,
        trades=trades,
        equity=array("d", answer.arrays["equity"].tobytes()),
        chart=chart,
    )
    store.keep(record)
    return record


def about(order: Order) -> dict[str, Any]:
    """What was run, in words and numbers."""
    return {
        "strategy": order.strategy.name,
        "version": order.strategy.version,
        "strategy_digest": order.strategy.digest,
        "params": dict(order.params),
        "symbols": order.symbols,
        "interval": next(iter(order.bars.values())).interval.name,
        "from": order.show(order.times[0]),
        "to": order.show(order.times[-1]),
        "bars": len(order.times),
        "fee_bps": order.terms.fee_bps,
        "slippage_bps": order.terms.slippage_bps,
    }


def dated_metrics(order: Order, metrics: dict[str, Any]) -> dict[str, Any]:
    """The figures with moments as dates."""
    drawdown = metrics["max_drawdown"]
    dates = drawdown and {name: order.show(moment) for name, moment in drawdown.items()}
    return {**metrics, "max_drawdown": dates}


def _figures(order: Order, values: dict[str, Any], *, listed: int) -> dict[str, Any]:
    run, benchmark = values["runs"][0], values["benchmark"]
    return {
        "metrics": dated_metrics(order, run["metrics"]),
        "benchmark": dated_metrics(order, benchmark["metrics"]),
        "parts": [
            {
                "name": part.name,
                "from": order.show(order.times[part.first]),
                "to": order.show(order.times[part.past - 1]),
                "metrics": dated_metrics(order, metrics),
                "benchmark": dated_metrics(order, beside),
            }
            for part, metrics, beside in zip(order.parts, run["parts"], benchmark["parts"], strict=True)
        ],
        "years": values["years"],
        "notes": _notes(order, run, listed),
    }


def _notes(order: Order, run: dict[str, Any], listed: int) -> list[str]:
    notes = []
    if run["ruined_at"] is not None:
        notes.append(f"The account was empty on {order.show(run['ruined_at'])}; nothing is traded from then on.")
    if not run["metrics"]["trades"]:
        notes.append("Nothing was traded: the strategy's weights are 0 on every bar that is followed by another.")
    if run["scaled_bars"]:
        notes.append(
            f"On {run['scaled_bars']} bars the weights of the symbols summed to more than 1; they were scaled down to "
            "1 together, since the account borrows nothing."
        )
    if listed < run["metrics"]["trades"]:
        notes.append(f"The list of trades has the first {listed} of {run['metrics']['trades']}.")
    if len(order.bars) > 1:
        notes.append(f"Only moments at which all of {', '.join(order.bars)} have a bar are used.")
    return notes + list(map(suspicion, find_suspects(order.strategy.source)))


def _words(order: Order, summary: dict[str, Any]) -> dict[str, Any]:
    metrics = summary["metrics"]
    figures = [
        ("cagr_percent", "{:.1f} % a year"),
        ("sharpe", "Sharpe {:.2f}"),
        ("max_drawdown_percent", "drawdown {:.0f} %"),
    ]
    told = [words.format(metrics[name]).replace("-", "−") for name, words in figures if metrics[name] is not None]
    split = next((part.first for part in order.parts if part.name == OUT_OF_SAMPLE), None)
    return {
        "title": f"{order.strategy.name} on {', '.join(order.bars)}",
        "subtitle": " · ".join(told),
        "split": split,
    }


def _dated(order: Order, trade: dict[str, Any]) -> dict[str, Any]:
    return {**trade, "entry": order.show(trade["entry"]), "exit": order.show(trade["exit"])}
