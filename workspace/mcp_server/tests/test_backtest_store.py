"""Which backtests are kept, how a range is cut and how runs are chosen."""

from __future__ import annotations

from array import array
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.backtests.choosing import rank_correlation, ranked
from mcp_server.backtests.grid import MOST_RUNS, runs_of
from mcp_server.backtests.split import FEWEST_BARS, Split
from mcp_server.backtests.store import Backtests, Bounds, Record
from mcp_server.errors import BadGrid, BadSplit, BadStrategyParams, UnknownBacktest
from mcp_server.storage.database import Database
from mcp_server.strategies.shipped import shipped

CROSSOVER = shipped()["sma_crossover"]


def record(identity: str, **changes: Any) -> Record:
    usual: dict[str, Any] = {
        "strategy": "mine",
        "version": 1,
        "summary": {"id": identity, "kind": "backtest"},
        "trades": [{"pnl": 1.5}],
        "equity": array("d", [100_000.0, 100_001.5]),
        "chart": b"png",
    }
    return Record(identity, **(usual | changes))


def kept(store: Backtests, names: str) -> str:
    return "".join(name for name in names if store.has(name, strategy="mine", version=1))


def test_a_record_is_read_as_it_was_kept(database: Database) -> None:
    store = Backtests(database)
    store.keep(record("a"))

    assert store.find("a") == record("a")
    assert store.find(" a ").equity == array("d", [100_000.0, 100_001.5])
    assert (store.chart("a"), store.trades("a"), store.summary("a")["kind"]) == (b"png", [{"pnl": 1.5}], "backtest")


def test_keeping_again_replaces(database: Database) -> None:
    store = Backtests(database)
    store.keep(record("a"))
    store.keep(record("a", version=2))

    assert store.find("a").version == 2
    assert not store.has("a", strategy="mine", version=1)


def test_the_oldest_make_room_and_pinned_ones_stay(database: Database) -> None:
    store = Backtests(database, Bounds(backtests=3))
    store.keep(record("a"))
    store.pin("a")
    for name in "bcde":
        store.keep(record(name))

    assert kept(store, "abcde") == "ade"


def test_large_ones_make_more_room(database: Database) -> None:
    store = Backtests(database, Bounds(size_bytes=2_500))
    for name in "abc":
        store.keep(record(name, chart=bytes(1_000)))

    assert kept(store, "abc") == "bc"
    store.keep(record("d", chart=bytes(10_000)))
    assert kept(store, "abcd") == "d"


def test_an_unknown_one_is_told(database: Database) -> None:
    store = Backtests(database)

    for ask in (store.find, store.summary, store.chart, store.trades, store.pin):
        with pytest.raises(UnknownBacktest, match="Ids come from"):
            ask("bt-none")


@given(st.integers(1, 5_000), st.floats(5, 95), st.integers(2, 12))
def test_parts_are_all_bars_once_or_refused(bars: int, percent: float, folds: int) -> None:
    for split in (Split(out_of_sample_percent=percent), Split(folds=folds)):
        try:
            parts = split.parts(bars)
        except BadSplit:
            assert bars < 20 * FEWEST_BARS
            continue
        edges = [0, *(part.past for part in parts)]
        assert [part.first for part in parts] == edges[:-1]
        assert edges[-1] == bars
        assert all(part.past - part.first >= FEWEST_BARS for part in parts)


def test_without_a_split_there_are_no_parts() -> None:
    assert Split().parts(3) == []


def test_a_grid_is_every_combination_once_with_defaults() -> None:
    runs = runs_of(CROSSOVER, {"fast": [10, 10.0, 20], "short": [False, True]})

    assert runs == [
        {"fast": 10, "slow": 100, "short": False},
        {"fast": 10, "slow": 100, "short": True},
        {"fast": 20, "slow": 100, "short": False},
        {"fast": 20, "slow": 100, "short": True},
    ]


def test_a_grid_that_can_not_be_run_says_why() -> None:
    with pytest.raises(BadGrid, match=f"{MOST_RUNS + 1} combinations"):
        runs_of(CROSSOVER, {"fast": list(range(MOST_RUNS + 1))})
    with pytest.raises(BadStrategyParams, match="no parameter 'speed'"):
        runs_of(CROSSOVER, {"speed": [1]})


def test_a_figure_without_a_value_is_the_worst_and_a_small_drawdown_the_best() -> None:
    assert ranked([{"sharpe": None}, {"sharpe": -1.0}, {"sharpe": 2.0}], "sharpe") == [2, 1, 0]
    drawdowns = [{"max_drawdown_percent": value} for value in (30.0, 10.0, 20.0)]
    assert ranked(drawdowns, "max_drawdown_percent") == [1, 2, 0]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=5, max_size=30))
def test_the_rank_correlation_is_spearmans(pairs: list[tuple[int, int]]) -> None:
    """Source: scipy.stats.spearmanr, which the server can't afford to import, nor each process that collects tests."""
    from scipy.stats import spearmanr  # type: ignore[import-untyped]  # it has no types

    first, second = ([float(pair[side]) for pair in pairs] for side in (0, 1))
    found = rank_correlation(first, second)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(spearmanr(first, second).statistic, abs=1e-12)


def test_too_few_runs_have_no_ranks() -> None:
    assert rank_correlation([1.0, 2.0], [1.0, 2.0]) is None


@pytest.mark.parametrize(
    "equity",
    [[100_000.0, 100_000.0], [100_000.0] * 50, [100_000.0, 50_000.0, 0.0, 0.0], list(numpy.geomspace(1e5, 1e9, 9_000))],
    ids=["two bars", "flat", "lost", "grown ten thousand times"],
)
def test_any_course_is_drawn_and_the_same_each_time(equity: list[float]) -> None:
    from mcp_server.jobs.charts import draw  # brings matplotlib

    curve = numpy.array(equity)
    curves = {
        "time": numpy.arange(len(curve)) * 86_400 * 10**9,
        "equity": curve,
        "benchmark": curve,
        "drawdown": curve / numpy.maximum.accumulate(curve) - 1,
    }
    words = {"title": "a long name of a strategy on SPX, IXIC", "subtitle": "−3.1 % a year", "split": 1}

    picture = draw(words, curves)

    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert draw(words, curves) == picture
