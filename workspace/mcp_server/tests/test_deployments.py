"""Paper deployments: once for each key, once for each bar, in whatever portions they come."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.deployments.store import MOST_RUNNING, Live
from mcp_server.errors import (
    BadStrategyParams,
    BadSymbols,
    DeploymentConflict,
    StrategyFailed,
    TooManyDeployments,
    UnknownStrategy,
    UnknownSymbol,
)
from mcp_server.market.times import BY_NAME
from mcp_server.sandbox import Answer, Job
from mcp_server.strategies.shipped import shipped
from mcp_server.tests.deploying import BUSY, Bench, courses_agree, recomputed, request, spx
from mcp_server.tests.direct import DirectRunner


def test_a_deployment_stepped_over_imported_bars_equals_a_recomputation(bench: Bench) -> None:
    deployment = bench.deploy()
    for past in (61, 62, 70, 120):
        bench.catalogue.save("MY.SPX", spx(0, past))
        assert bench.desk.step_all()

    courses_agree(bench.store, deployment, recomputed(spx(0, 120), begun_at=59))
    assert len([order for order in bench.store.orders(deployment.id, limit=500) if order.state == "filled"]) > 20


@settings(max_examples=6, deadline=None)
@given(
    pasts=st.lists(st.integers(61, 140), min_size=1, max_size=5).map(sorted),
    costs=st.tuples(st.floats(0, 100), st.floats(0, 100)),
)
def test_in_whatever_portions_bars_come_the_course_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, pasts: list[int], costs: tuple[float, float]
) -> None:
    bench = Bench(tmp_path_factory.mktemp("portions"))
    deployment = bench.deploy(fee_bps=costs[0], slippage_bps=costs[1])
    for past in pasts:
        bench.catalogue.save("MY.SPX", spx(0, past))
        bench.desk.step_all()

    wanted = recomputed(spx(0, pasts[-1]), begun_at=59, fee_bps=costs[0], slippage_bps=costs[1])
    courses_agree(bench.store, deployment, wanted)
    bench.close()


def test_the_same_key_deploys_once_also_from_many_at_once(bench: Bench) -> None:
    bench.strategies.save("busy", BUSY)
    bench.catalogue.save("MY.SPX", spx(0, 60))
    with ThreadPoolExecutor(20) as pool:
        made = list(pool.map(lambda _: bench.desk.deploy(request(), key="k"), range(20)))

    assert {each.id for each in made} == {made[0].id}
    # One over all bars, one over fewer.
    assert bench.runner.runs == 2
    assert bench.store.count() == 1


def test_a_repeated_call_does_not_wait_for_another_deployments_run(bench: Bench) -> None:
    made = bench.deploy()
    pool = ThreadPoolExecutor(1)

    class Repeating(DirectRunner):
        def run(self, job: Job, **options: Any) -> Answer:
            assert pool.submit(desk.deploy, request(), key="k").result(30).id == made.id
            return super().run(job, **options)

    desk = bench.desk_with(Repeating())

    assert desk.deploy(request(), key="another").id != made.id
    pool.shutdown()


def test_the_same_key_from_two_servers_deploys_once(bench: Bench, tmp_path: Path) -> None:
    """Source: the old server still leaves while the new one comes."""
    bench.deploy("other")
    second = Bench(tmp_path)
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda desk: desk.deploy(request(), key="k"), (bench.desk, second.desk)))

    assert made[0].id == made[1].id
    second.close()


@pytest.mark.parametrize(
    "change",
    [
        {"strategy": "sma_crossover"},
        {"strategy": "busy@1"},
        {"symbol": "SPX"},
        {"interval": "1d"},
        {"params": {"period": 3}},
        {"fee_bps": 4.0},
        {"slippage_bps": 0.0},
        {"keep_running": True},
    ],
)
def test_the_same_key_with_other_arguments_is_a_conflict(bench: Bench, change: dict[str, Any]) -> None:
    made = bench.deploy()

    with pytest.raises(DeploymentConflict, match=made.id):
        bench.desk.deploy(request(**change), key="k")
    assert bench.store.count() == 1


def test_a_key_keeps_its_deployment_when_the_strategy_has_changed_since(bench: Bench) -> None:
    made = bench.deploy()
    bench.strategies.save("busy", BUSY.replace("30", "10"))
    bench.strategies.delete("busy")

    assert bench.desk.deploy(request(strategy="BUSY", symbol=" my.spx "), key="k").id == made.id


def test_a_deployment_pins_its_version(bench: Bench) -> None:
    deployment = bench.deploy()
    bench.strategies.save("busy", "def signals(bars): return bars['close'] * 0")
    bench.catalogue.save("MY.SPX", spx(0, 100))
    bench.desk.step_all()

    assert bench.store.get(deployment.id).terms.digest == bench.strategies.find("busy", 1).digest
    courses_agree(bench.store, deployment, recomputed(spx(0, 100), begun_at=59))


def test_a_deployment_of_two_symbols_is_stepped_on_the_bars_that_both_have(bench: Bench) -> None:
    source = shipped()["index_pair"].source.replace('["SPX", "IXIC"]', '["MY.A", "MY.B"]')
    bench.strategies.save("pair", source)
    bench.catalogue.save("MY.A", spx(0, 200))
    bench.catalogue.save("MY.B", spx(0, 190))
    deployment = bench.desk.deploy(request(strategy="pair", symbol="my.b"), key="k")
    bench.catalogue.save("MY.B", spx(0, 195))
    bench.desk.step_all()

    after = bench.store.get(deployment.id)
    assert after.terms.symbols == ("MY.A", "MY.B")
    assert after.last_bar == spx(194, 195).times[0]
    assert len(bench.store.steps(deployment.id)) == 6


def test_a_longer_bar_is_not_traded_before_it_has_ended(bench: Bench) -> None:
    """Source: 1999-01-04 is a Monday: 62 bars end in the middle of a week, 120 too."""
    deployment = bench.deploy(bars=62, interval="1w")
    assert spx(61, 62).date(0) == "1999-04-01"
    weeks = spx(0, 120).resampled(BY_NAME["1w"])
    assert deployment.last_bar == weeks.times[11]

    bench.catalogue.save("MY.SPX", spx(0, 120))
    bench.desk.step_all()

    courses_agree(bench.store, deployment, recomputed(weeks[: len(weeks) - 1], begun_at=11))


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"strategy": "none"}, UnknownStrategy, "No strategy 'none'"),
        ({"symbol": "NONE"}, UnknownSymbol, "No instrument 'NONE'"),
        ({"symbol": ","}, BadSymbols, "0 symbols are given"),
        ({"strategy": "index_pair"}, BadSymbols, "made for SPX, IXIC"),
        ({"params": {"slow": 1}}, BadStrategyParams, "no parameter 'slow'"),
        ({"strategy": "peeks"}, StrategyFailed, "LookAhead"),
        ({"strategy": "fails"}, StrategyFailed, "line 2: KeyError"),
    ],
)
def test_what_can_not_be_deployed_is_refused_and_leaves_the_key_free(
    bench: Bench, change: dict[str, Any], error: type[Exception], told: str
) -> None:
    bench.strategies.save("peeks", "def signals(bars):\n    return bars['close'].shift(-1) > bars['close']")
    bench.strategies.save("fails", "def signals(bars):\n    return bars['x']")
    bench.deploy("other")

    with pytest.raises(error, match=told):
        bench.desk.deploy(request(**change), key="k")
    assert bench.deploy("k").state == "running"


def test_there_is_room_for_twenty(bench: Bench) -> None:
    for number in range(MOST_RUNNING):
        bench.deploy(str(number), keep_running=number < 3)

    with pytest.raises(TooManyDeployments, match="20 deployments are running"):
        bench.deploy("one more")
    assert bench.store.live() == Live(running=20, kept=3)
    bench.store.stop(bench.store.running()[0].id)
    assert bench.deploy("one more").state == "running"
    assert [each.state for each in bench.store.newest(50)] == ["running"] * 20 + ["stopped"]
