"""Which strategies know later bars: found by their weights over fewer bars, in processes that never saw the later ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mcp_server.errors import StrategyFailed
from mcp_server.market.bars import Bars
from mcp_server.market.sources.shipped import ShippedSource
from mcp_server.sandbox import Answer, Job, Sandbox
from mcp_server.strategies import lookahead
from mcp_server.strategies.lookahead import checked_weights, spread
from mcp_server.strategies.shipped import shipped
from mcp_server.strategies.signals import Run, Signals, Weights
from mcp_server.strategies.suspects import find_suspects, suspicion
from mcp_server.tests.direct import DirectRunner

SHIPPED = ShippedSource()


def bars_of(symbol: str, last: int | None = 300) -> Bars:
    found = SHIPPED.find(symbol, None)
    assert found is not None
    return found[1].last(last)


def checked(source: str, *symbols: str, run: Run | None = None) -> Weights:
    """The weights; run in this process unless told otherwise."""
    bars = {symbol: bars_of(symbol) for symbol in symbols or ("SPX",)}
    return checked_weights(Signals(source, bars, {}), run=run or DirectRunner().run)


def refused(source: str, *symbols: str, run: Run | None = None) -> StrategyFailed:
    with pytest.raises(StrategyFailed) as failed:
        checked(source, *symbols, run=run)
    return failed.value


def returning(expression: str) -> str:
    return f"import numpy as np\nimport pandas as pd\ndef signals(bars):\n    close = bars['close']\n    return {expression}"


@pytest.mark.parametrize(
    "expression",
    [
        "np.sign(close.shift(-1) - close)",
        "(close > close.mean()).astype(float)",
        "(close > close.rolling(5, center=True).mean()).astype(float)",
        "((close - close.min()) / (close.max() - close.min()))",
        "(close > close.iloc[-1]).astype(float)",
        "pd.Series(np.arange(len(close)) / len(close), index=close.index)",
        "np.sign(close.resample('W-FRI').last().reindex(close.index).bfill() - close)",
    ],
)
def test_a_look_into_the_future_is_found(expression: str) -> None:
    assert "LookAhead: The weight of SPX at " in str(refused(returning(expression)))


# Here a peek is made on a few bars only, away from the ends: on each seventieth, where the price moves most, on one date.
RARE = [
    "pd.Series(np.where(np.arange(len(close)) % 70 == 35, np.sign(close.shift(-1) - close), 0.0), close.index)",
    "np.sign(close.shift(-1) - close).where(close.pct_change().abs() > 0.03, 0.0).fillna(0.0)",
    "pd.Series(np.where(np.arange(len(close)) == 123, np.sign(close.shift(-1) - close), 0.0), close.index).fillna(0.0)",
    # It holds all the time, and lets go where the next bar falls.
    "(1.0 - ((np.arange(len(close)) % 40 == 20) & (close.shift(-1) < close)).astype(float))",
    # It holds all the time, and only how much changes.
    "0.5 + 0.5 * ((np.arange(len(close)) % 50 == 25) & (close.shift(-1) > close)).astype(float)",
]


@pytest.mark.parametrize("expression", RARE)
def test_a_peek_at_the_next_bar_on_a_few_bars_only_is_found(expression: str) -> None:
    assert "LookAhead: The weight of SPX at " in str(refused(returning(expression)))


def test_a_peek_that_ends_in_an_error_where_there_is_no_later_bar_is_found() -> None:
    source = """
def signals(bars):
    close = bars["close"].to_numpy()
    return [float(i % 70 == 35 and close[i + 1] > close[i]) for i in range(len(close))]
"""
    failed = refused(source)

    assert "IndexError" in str(failed)
    assert "bars are known: code that reads a later bar fails like that" in str(failed)
    assert failed.line == 4


def test_a_look_ahead_points_at_the_line_that_looks_like_it() -> None:
    failed = refused(returning("np.sign(close.shift(-1) - close)"))

    assert failed.line == 5
    assert "`close.shift(-1)` takes a later bar" in str(failed)


@pytest.mark.parametrize(
    "expression",
    [
        "np.sign(close.ewm(span=20).mean() - close)",
        "(close > close.expanding().mean()).astype(float)",
        "close.rank(pct=True) * 0 + 1",
        "pd.Series(np.random.rand(len(close)), index=close.index) * 0 + 0.5",
        "pd.Series(np.random.uniform(size=len(close)), index=close.index)",
        "(close > close.shift(1)).astype(float)",
        "close * 0",
    ],
)
def test_an_honest_strategy_passes(expression: str) -> None:
    assert len(checked(returning(expression))["SPX"]) == 300


def test_a_strategy_that_needs_more_bars_than_some_runs_have_passes() -> None:
    source = "def signals(bars):\n    assert len(bars) > 200\n    return (bars['close'] > bars['close'].shift(1)).astype(float)"

    assert checked(source)["SPX"].max() == 1


def test_a_strategy_can_not_change_the_bars_of_the_next_run() -> None:
    source = "def signals(bars):\n    bars['close'] = bars['close'] * 0\n    return bars['close']"

    assert checked(source)["SPX"].tolist() == [0.0] * 300


def test_chance_is_told_from_a_look_ahead() -> None:
    source = returning("pd.Series(np.random.default_rng().uniform(size=len(close)), index=close.index)")

    assert "NotDeterministic" in str(refused(source))


# Each keeps the weights that it computed with all bars where a run over fewer of them may find them again.
HIDES = {
    "a module": """
import numpy
def signals(bars):
    close = bars["close"]
    kept = getattr(numpy, "kept", None)
    if kept is None:
        numpy.kept = kept = (close > close.mean()).astype(float)
    return kept.reindex(close.index)
""",
    "its own folder": """
import os, tempfile, pandas
def signals(bars):
    close, path = bars["close"], os.path.join(tempfile.gettempdir(), "kept.csv")
    if not os.path.exists(path):
        (close.shift(-1) > close).astype(float).to_csv(path)
    kept = pandas.read_csv(path, index_col=0, parse_dates=True).iloc[:, 0]
    return kept.reindex(close.index)
""",
    "sys.modules": """
import sys, types
def signals(bars):
    close = bars["close"]
    kept = sys.modules.setdefault("kept", types.ModuleType("kept"))
    if not hasattr(kept, "weights"):
        kept.weights = (close.shift(-1) > close).astype(float)
    return kept.weights.reindex(close.index)
""",
    "the runner": """
import mcp_server.jobs.lookahead as check, mcp_server.jobs.strategy_code as code
def signals(bars):
    close = bars["close"]
    check.without_gaps = lambda weights: weights
    if not hasattr(code, "kept"):
        code.kept = (close > close.mean()).astype(float)
    return code.kept.reindex(close.index)
""",
    "the memory that its bars lie in": """
import numpy
def signals(bars):
    close = bars["close"]
    base = close.to_numpy()
    while base.base is not None and isinstance(base.base, numpy.ndarray):
        base = base.base
    every = base.reshape(-1) if base.ndim == 1 else close.to_numpy()
    return (close > every[-1]).astype(float)
""",
}


@pytest.mark.parametrize("place", HIDES)
def test_what_is_kept_from_the_run_over_all_bars_hides_nothing(sandbox: Sandbox, place: str) -> None:
    """Source: a strategy passed that kept its weights in its own folder, in sys.modules or in a module's globals."""
    assert "LookAhead" in str(refused(HIDES[place], run=sandbox.run))


class Seen(DirectRunner):
    """Keeps the jobs."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Job] = []

    def run(self, job: Job, **options: Any) -> Answer:
        self.jobs.append(job)
        return super().run(job, **options)


def test_no_run_over_fewer_bars_is_given_a_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookahead, "MOST_VALUES", 1000)
    seen = Seen()
    checked(returning("(close > close.shift(1)).astype(float)"), run=seen.run)
    first, *shorter = seen.jobs

    assert len(first.arrays["SPX/close"]) == 300
    assert len(shorter) > 3
    for job in shorter:
        until = job.arguments["until"]
        assert until == sorted(until)
        assert job.arrays["SPX/time"][-1] == until[-1] < first.arrays["SPX/time"][-1]


def test_the_bars_to_stop_at_are_few_even_and_always_the_same() -> None:
    seen = [Seen(), Seen()]
    for each in seen:
        checked(returning("(close > close.shift(1)).astype(float)"), run=each.run)
    stops = [[job.arguments["until"] for job in each.jobs[1:]] for each in seen]

    assert stops[0] == stops[1]
    assert sum(map(len, stops[0])) <= 7 + lookahead.MOST_ACTS
    assert spread(range(100), 4) == [0, 33, 66, 99]
    assert spread(range(3), 4) == [0, 1, 2]


PAIR = """
SYMBOLS = ["SPX", "IXIC"]
def signals(bars):
    side = (bars["SPX"]["close"] > bars["IXIC"]["close"].shift({shift})).astype(float)
    return {{'SPX': side, 'IXIC': -side}}
"""


def test_a_strategy_of_several_symbols_is_checked_as_one() -> None:
    assert set(checked(PAIR.format(shift=1), "SPX", "IXIC")) == {"SPX", "IXIC"}


def test_symbols_with_other_days_are_checked_over_those_that_both_have() -> None:
    source = "SYMBOLS = ['SPX', 'IXIC']\ndef signals(bars):\n    return {s: [0.5] * len(bars[s]) for s in bars}"
    bars = {"SPX": bars_of("SPX"), "IXIC": bars_of("IXIC")[100:200]}

    weights = checked_weights(Signals(source, bars, {}), run=DirectRunner().run)

    assert weights["SPX"].tolist() == [0.0] * 100 + [0.5] * 200


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_example_trades_and_looks_at_no_later_bar(name: str) -> None:
    example = shipped()[name]
    bars = {symbol: bars_of(symbol, None) for symbol in example.symbols or ("SPX",)}

    found = checked_weights(Signals(example.source, bars, {}), run=DirectRunner().run)

    assert len(example.description) > 40
    assert example.params
    assert find_suspects(example.source) == []
    for weights in found.values():
        assert 0.05 < abs(weights).mean() < 0.95
        assert (np.diff(weights) != 0).sum() > 20


@pytest.mark.parametrize(
    ("code", "shown", "why"),
    [
        ("bars['close'].shift(-1)", None, "takes a later bar"),
        ("bars['close'].shift(periods=-1)", None, "takes a later bar"),
        ("bars.bfill()", None, "fills a bar from a later one"),
        ("bars['close'].rolling(5, center=True)", None, "half of its window lies ahead"),
        ("bars['close'].iloc[-1]", None, "is the last of all bars"),
        ("bars[::-1]", None, "turns time round"),
        ("[close[i + 1] for i in range(9)]", "close[i + 1]", "takes a later bar"),
        ("close.iloc[1 + i]", None, "takes a later bar"),
        ("close.max()", None, "is a figure over all bars"),
        ("bars['high'].mean()", None, "is a figure over all bars"),
        ("bars.low.quantile(0.9)", None, "is a figure over all bars"),
        ("np.max(close)", None, "is a figure over all bars"),
        ("close.to_numpy().std()", None, "is a figure over all bars"),
    ],
)
def test_the_usual_ways_of_looking_ahead_are_pointed_at(code: str, shown: str | None, why: str) -> None:
    (suspect,) = find_suspects(f"def signals(bars):\n    close = bars['close']\n    return {code}")

    assert (suspect.line, suspect.text) == (3, shown or code)
    assert why in suspect.why
    assert suspicion(suspect).startswith(f"Line 3: `{shown or code}` {suspect.why}. ")


def test_an_honest_source_has_no_suspect() -> None:
    source = """
def signals(bars):
    close = bars['close']
    weights = [0.0] * len(close)
    for i in range(len(close) - 1):
        weights[i + 1] = float(close[i] > close[:i + 1].mean())
    band = close.rolling(20).max() - close.expanding().min()
    return close.shift(1).rolling(5).mean()[1:]
"""
    assert find_suspects(source) == []


def test_no_more_than_five_lines_are_pointed_at() -> None:
    source = "def signals(bars):\n" + "    bars['close'].shift(-1)\n" * 9

    assert [suspect.line for suspect in find_suspects(source)] == [2, 3, 4, 5, 6]
