"""A strategy's run: its answer in one form, its failures in the user's lines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mcp_server.errors import StrategyFailed
from mcp_server.market.bars import Bars
from mcp_server.market.sources.shipped import ShippedSource
from mcp_server.strategies.signals import signals_job
from mcp_server.tests.direct import DirectRunner

SHIPPED = ShippedSource()


def bars_of(symbol: str, last: int | None = 300) -> Bars:
    found = SHIPPED.find(symbol, None)
    assert found is not None
    return found[1].last(last)


def run(source: str, *symbols: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    bars = {symbol: bars_of(symbol) for symbol in symbols or ("SPX",)}
    return DirectRunner().run(signals_job(source, bars, params=[params or {}])).arrays


def fault(source: str, *symbols: str) -> StrategyFailed:
    with pytest.raises(StrategyFailed) as failed:
        run(source, *symbols)
    return failed.value


def returning(expression: str) -> str:
    return f"import numpy as np\nimport pandas as pd\ndef signals(bars):\n    close = bars['close']\n    return {expression}"


@pytest.mark.parametrize(
    "expression",
    [
        "(close > close.shift(1)).astype(float)",
        "close > close.shift(1)",
        "(close > close.shift(1)).astype('int64')",
        "(close > close.shift(1)).to_numpy()",
        "list(map(float, close > close.shift(1)))",
        "pd.DataFrame({'w': (close > close.shift(1)).astype(float)})",
        "pd.Series((close > close.shift(1)).to_numpy())",
        "(close > close.shift(1)).astype(object)",
        "(close > close.shift(1)).astype(float).replace(0.0, np.nan)",
        "(close > close.shift(1)).astype(float) * (1 + 1e-12)",
    ],
)
def test_many_forms_of_an_answer_are_the_same_weights(expression: str) -> None:
    closes = np.array(bars_of("SPX").close)

    weights = run(returning(expression))["0/SPX"]

    assert weights.dtype == np.float64
    assert weights.tolist() == [0.0, *(closes[1:] > closes[:-1]).astype(float)]


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("close.dropna()[5:]", "WrongLength: signals got 300 bars and returned 295 values"),
        ("1", "WrongLength: signals got 300 bars and returned one number"),
        ("np.zeros((300, 2))", "returned a table of 300 x 2"),
        ("None", "NotNumbers: signals returned NoneType"),
        ("'long'", "NotNumbers: signals returned str"),
        ("['long'] * 300", "NotNumbers: signals returned list"),
        ("np.zeros(300, dtype=complex)", "NotNumbers"),
        ("close", "OutOfRange: 300 weights are outside [-1, 1], the first is 2"),
        ("close * 0 + np.inf", "OutOfRange: 300 weights"),
        ("(close * 0).shift(1, freq='D')", "WrongIndex"),
        ("[0] * 299 + [[1, 2]]", "NotNumbers"),
    ],
)
def test_an_answer_that_is_no_weights_is_named_with_the_line_that_returns_it(expression: str, told: str) -> None:
    failed = fault(returning(expression))

    assert told in str(failed)
    assert failed.line == 5


def test_an_exception_is_told_with_the_users_own_lines_only() -> None:
    failed = fault("def signals(bars):\n    return inner(bars)\n\ndef inner(bars):\n    return bars['clse']\n")

    assert failed.line == 5
    text = str(failed)
    assert "KeyError: 'clse'" in text
    assert "line 2, in signals: return inner(bars)" in text
    assert "line 5, in inner: return bars['clse']" in text
    assert "/" not in text


@pytest.mark.parametrize(
    ("source", "told", "line"),
    [
        ("import sys\ndef signals(bars):\n    sys.exit('enough')", "SystemExit: enough", 3),
        ("def signals(bars):\n    return signals(bars)", "RecursionError: ", 2),
        ("raise KeyboardInterrupt\ndef signals(bars): return 0", "KeyboardInterrupt: without a message", 1),
        ("from numpy import nothing\ndef signals(bars): return 0", "ImportError: cannot import name 'nothing'", 1),
        ("import talib\ndef signals(bars):\n    return talib.SMA('x')", "TypeError", 3),
        ("class E(Exception):\n    def __str__(self): raise self\ndef signals(bars):\n    raise E", "E: without a", 4),
        ("def signals(bars):\n    return eval('1 +')", "SyntaxError", 2),
        (
            "def signals(bars):\n    del globals()['signals']\ndef signals(bars, n=1): return 1/0",
            "ZeroDivisionError",
            3,
        ),
        ("def signals(bars): return 0\ndel signals", "has no attribute 'signals'", None),
    ],
)
def test_whatever_the_code_raises_is_told(source: str, told: str, line: int | None) -> None:
    failed = fault(source)

    assert told in str(failed)
    assert failed.line == line
    assert "site-packages" not in str(failed)


PAIR = """
SYMBOLS = ["SPX", "IXIC"]
def signals(bars):
    side = (bars["SPX"]["close"] > bars["IXIC"]["close"].shift(1)).astype(float)
    return {answer}
"""


@pytest.mark.parametrize(
    "answer",
    [
        "{'SPX': side, 'IXIC': -side}",
        "__import__('pandas').DataFrame({'IXIC': -side, 'SPX': side})",
    ],
)
def test_a_strategy_of_several_symbols_answers_for_each(answer: str) -> None:
    weights = run(PAIR.format(answer=answer), "SPX", "IXIC")

    assert (weights["0/SPX"] == -weights["0/IXIC"]).all()


@pytest.mark.parametrize("answer", ["side", "{'SPX': side}", "{'SPX': side, 'IXIC': side, 'DAX': side}"])
def test_an_answer_for_other_symbols_is_refused(answer: str) -> None:
    assert "WrongSymbols" in str(fault(PAIR.format(answer=answer), "SPX", "IXIC"))


def test_symbols_with_other_days_share_those_that_both_have() -> None:
    source = (
        "SYMBOLS = ['SPX', 'IXIC']\ndef signals(bars):\n    n = len(bars['SPX'])\n    assert n == len(bars['IXIC'])\n"
    )
    source += "    return {s: [0.5] * n for s in bars}"
    bars = {"SPX": bars_of("SPX"), "IXIC": bars_of("IXIC")[100:200]}

    arrays = DirectRunner().run(signals_job(source, bars, params=[{}])).arrays

    assert arrays["0/IXIC"].tolist() == [0.5] * 100
    assert arrays["0/SPX"].tolist() == [0.0] * 100 + [0.5] * 200


def test_a_strategy_without_symbols_is_run_on_each_alone() -> None:
    weights = run(returning("(close > 3000).astype(float)"), "SPX", "IXIC")

    assert weights["0/SPX"].max() == 0
    assert weights["0/IXIC"].min() == 1


def test_several_sets_of_params_are_run_with_progress() -> None:
    told: list[tuple[float, float | None, str]] = []
    job = signals_job(
        "def signals(bars, w=0.0): return [w] * len(bars)", {"SPX": bars_of("SPX")}, params=[{"w": 0.1}, {"w": 1}, {}]
    )

    answer = DirectRunner().run(job, progress=lambda *step: told.append(step))

    assert [answer.arrays[f"{index}/SPX"][0] for index in range(3)] == [0.1, 1.0, 0.0]
    assert [step[:2] for step in told] == [(1, 3), (2, 3), (3, 3)]


def test_a_run_that_tells_names_the_problem_and_raises_nothing() -> None:
    job = signals_job(returning("close.mean()"), {"SPX": bars_of("SPX")}, params=[{}], tells=True)

    (problem,) = DirectRunner().run(job).values["problems"]

    assert (problem["name"], problem["line"]) == ("WrongLength", 5)


def test_the_share_of_undefined_weights_is_told() -> None:
    job = signals_job(returning("close.rolling(31).mean() * 0"), {"SPX": bars_of("SPX")}, params=[{}])

    assert DirectRunner().run(job).values["undefined"] == {"0/SPX": 0.1}
