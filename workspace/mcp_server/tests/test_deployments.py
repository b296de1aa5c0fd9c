"""Paper deployments: once for each key, once for each bar, whatever ends the server in between."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp.client import Client

from mcp_server.deployments.desk import Desk, Request
from mcp_server.deployments.stepper import Stepper
from mcp_server.deployments.store import MOST_RUNNING, Deployment, Deployments, Live, check_row
from mcp_server.errors import (
    BadStrategyParams,
    BadSymbols,
    DeploymentConflict,
    SandboxUnavailable,
    StrategyFailed,
    TooManyDeployments,
    UnknownDeployment,
    UnknownStrategy,
    UnknownSymbol,
)
from mcp_server.market.bars import Bars
from mcp_server.market.catalogue import Catalogue
from mcp_server.market.csv_format import format_bars
from mcp_server.market.sources.shipped import ShippedSource
from mcp_server.market.times import BY_NAME
from mcp_server.sandbox import Answer, Job
from mcp_server.storage.database import Database
from mcp_server.strategies.shipped import shipped
from mcp_server.strategies.store import Strategies
from mcp_server.tests.direct import DirectRunner
from mcp_server.tests.harness import USER, RunningServer, call, refusal, running_server
from mcp_server.trading import START_EQUITY

# Every few bars another weight, so that there is something to trade.
BUSY = """
def signals(bars, period=3):
    close = bars["close"]
    change = close.pct_change(period) * 30
    return change.clip(-1, 1).round(1).fillna(0.0)
"""


SHIPPED = ShippedSource()


def spx(first: int, past: int) -> Bars:
    """Some of the shipped bars."""
    found = SHIPPED.find("SPX", None)
    assert found is not None
    return found[1][first:past]


class Bench:
    """A desk on a folder, with the jobs run in this process."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder, user=USER)
        self.catalogue = Catalogue(self.database)
        self.strategies = Strategies(self.database)
        self.store = Deployments(self.database)
        self.runner = DirectRunner()
        self.desk = self.desk_with(self.runner)

    def desk_with(self, runner: Any) -> Desk:
        return Desk(self.store, strategies=self.strategies, catalogue=self.catalogue, sandbox=runner)

    def deploy(self, key: str = "k", *, bars: int = 60, **wish: Any) -> Deployment:
        """Deploy BUSY over the first bars of MY.SPX, which are imported."""
        self.strategies.save("busy", BUSY)
        self.catalogue.save("MY.SPX", spx(0, bars))
        return self.desk.deploy(request(**wish), key=key)

    def close(self) -> None:
        self.catalogue.close()
        self.database.close()


def request(**wish: Any) -> Request:
    usual: dict[str, Any] = {
        "strategy": "busy",
        "symbol": "MY.SPX",
        "interval": None,
        "params": {},
        "fee_bps": 5.0,
        "slippage_bps": 1.0,
        "keep_running": False,
    }
    return Request(**(usual | wish))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    opened = Bench(tmp_path)
    yield opened
    opened.close()


def recomputed(bars: Bars, *, begun_at: int, fee_bps: float = 5.0, slippage_bps: float = 1.0) -> list[float]:
    """The equity at each close from the bar `begun_at` on, told a second time in the plainest way."""
    closes = bars.close
    weights = [0.0] * len(bars)
    for t in range(3, len(bars)):
        change = (closes[t] / closes[t - 3] - 1) * 30
        weights[t] = round(max(-1.0, min(1.0, change)), 1)
    costs = (fee_bps + slippage_bps) / 10_000
    cash, units, held = START_EQUITY, 0.0, 0.0
    course = [START_EQUITY]
    for t in range(begun_at + 1, len(bars)):
        target = weights[t - 1]
        if target != held:
            price, value = bars.open[t], cash + units * bars.open[t]
            # left = value - costs * |target * left - units * price|, solved for either sign.
            bought = (value + costs * units * price) / (1 + costs * target)
            sold = (value - costs * units * price) / (1 - costs * target)
            left = bought if target * bought >= units * price else sold
            cash, units, held = left - target * left, target * left / price, target
        course.append(cash + units * closes[t])
    return course


def courses_agree(store: Deployments, deployment: Deployment, wanted: list[float]) -> None:
    steps = store.steps(deployment.id)
    assert len(steps) == len(wanted)
    assert all(math.isclose(mine, theirs, rel_tol=1e-9) for (_, mine), theirs in zip(steps, wanted, strict=True))


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


class Killed(BaseException):
    """Ends everything at once, as kill -9 does."""


class KillingDatabase(Database):
    """Dies before or after the commit of its `fatal`th transaction."""

    fatal = -1
    before = False

    def writing(self, **options: Any) -> Any:
        self.fatal -= 1
        inner = super().writing(**options)
        return Dying(inner, before=self.before) if self.fatal == 0 else inner


class Dying:
    def __init__(self, inner: Any, *, before: bool) -> None:
        self.inner = inner
        self.before = before

    def __enter__(self) -> Any:
        return self.inner.__enter__()

    def __exit__(self, *_raised: object) -> None:
        if self.before:
            self.inner.gen.throw(Killed())
        self.inner.__exit__(None, None, None)
        raise Killed


@pytest.mark.parametrize("before", [True, False], ids=["before the commit", "after it"])
@pytest.mark.parametrize("fatal", [1, 2, 20])
def test_a_crash_at_a_write_skips_no_bar_and_repeats_none(tmp_path: Path, fatal: int, before: bool) -> None:
    """Source: exactly once for each bar, whichever write a kill falls on."""
    survive(tmp_path, [(fatal, before)])


@pytest.mark.soak
@pytest.mark.timeout(1800)
@settings(max_examples=200, deadline=None)
@given(crashes=st.lists(st.tuples(st.integers(1, 20), st.booleans()), min_size=1, max_size=6))
def test_any_crashes_one_after_the_other_skip_no_bar_and_repeat_none(
    tmp_path_factory: pytest.TempPathFactory, crashes: list[tuple[int, bool]]
) -> None:
    survive(tmp_path_factory.mktemp("crashes"), crashes)


def survive(folder: Path, crashes: list[tuple[int, bool]]) -> None:
    """Step 20 bars with a death at each of these writes, counted anew after each; then look at every bar."""
    bench = Bench(folder)
    deployment = bench.deploy()
    bench.catalogue.save("MY.SPX", spx(0, 80))
    bench.close()
    for fatal, before in crashes:
        dying = KillingDatabase(folder, user=USER)
        dying.fatal, dying.before = fatal, before
        desk = Desk(
            Deployments(dying), strategies=Strategies(dying), catalogue=Catalogue(dying), sandbox=DirectRunner()
        )
        with suppress(Killed):
            desk.step_all()
        dying.close()

    bench = Bench(folder)
    assert bench.desk.step_all()

    courses_agree(bench.store, deployment, recomputed(spx(0, 80), begun_at=59))
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


def test_a_strategy_that_fails_ends_after_three_tries_and_the_others_go_on(bench: Bench) -> None:
    source = "def signals(bars):\n    if len(bars) > 70:\n        raise RuntimeError('too long')\n    return bars['close'] * 0"
    bench.strategies.save("brittle", source)
    steady = bench.deploy("steady")
    brittle = bench.desk.deploy(request(strategy="brittle"), key="brittle")
    bench.catalogue.save("MY.SPX", spx(0, 75))

    assert [bench.desk.step_all() for _ in range(4)] == [False, False, False, True]

    ended = bench.store.get(brittle.id)
    assert (ended.state, ended.last_bar) == ("failed", brittle.last_bar)
    assert ended.last_error is not None
    assert "RuntimeError: too long" in ended.last_error
    assert ended.ended_at is not None
    courses_agree(bench.store, steady, recomputed(spx(0, 75), begun_at=59))
    assert bench.store.live() == Live(running=1, kept=0)


class Flaky(DirectRunner):
    """Raises what it is told to, then runs."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__()
        self.errors = list(errors)

    def run(self, job: Job, **options: Any) -> Answer:
        if self.errors:
            raise self.errors.pop(0)
        return super().run(job, **options)


def test_failures_that_pass_are_forgotten(bench: Bench) -> None:
    deployment = bench.deploy()
    bench.catalogue.save("MY.SPX", spx(0, 75))
    desk = bench.desk_with(Flaky(StrategyFailed("once"), StrategyFailed("twice")))

    assert [desk.step_all(), desk.step_all(), desk.step_all()] == [False, False, True]
    after = bench.store.get(deployment.id)
    assert (after.state, after.tries, after.last_error) == ("running", 0, None)


def test_what_is_not_the_strategys_fault_never_fails_it(bench: Bench) -> None:
    deployment = bench.deploy()
    bench.catalogue.save("MY.SPX", spx(0, 75))
    desk = bench.desk_with(Flaky(*[SandboxUnavailable() for _ in range(9)]))

    for _ in range(9):
        desk.step_all()

    after = bench.store.get(deployment.id)
    assert (after.state, after.tries) == ("running", 0)
    assert (after.last_error or "").startswith("SandboxUnavailable")


def test_an_empty_account_ends_the_deployment(bench: Bench) -> None:
    bench.strategies.save("bear", "def signals(bars): return bars['close'] * 0 - 1")
    rows = spx(0, 62).rows()
    bench.catalogue.save("MY.SPX", Bars.of(rows[:60]))
    deployment = bench.desk.deploy(request(strategy="bear"), key="k")
    tripled = [bar._replace(high=bar.high * 3, close=bar.close * 3) for bar in rows[60:]]
    bench.catalogue.save("MY.SPX", Bars.of([*rows[:60], *tripled]))

    bench.desk.step_all()

    after = bench.store.get(deployment.id)
    assert (after.state, after.last_error) == (
        "failed",
        "AccountEmpty: the paper account is worth nothing any more.",
    )
    assert [order.state for order in bench.store.orders(after.id, limit=9)] == ["filled"]


def test_a_stopped_deployment_keeps_its_account_and_cancels_its_orders(bench: Bench) -> None:
    deployment = bench.deploy()
    open_orders = [order.state for order in bench.store.orders(deployment.id, limit=9)]

    stopped = bench.store.stop(deployment.id)
    again = bench.store.stop(deployment.id)
    bench.catalogue.save("MY.SPX", spx(0, 75))
    bench.desk.step_all()

    assert (open_orders, [order.state for order in bench.store.orders(deployment.id, limit=9)]) == (
        ["open"],
        ["cancelled"],
    )
    assert (stopped.state, again.ended_at) == ("stopped", stopped.ended_at)
    assert bench.store.get(deployment.id).last_bar == deployment.last_bar
    with pytest.raises(UnknownDeployment):
        bench.store.stop("dep-none")


def test_there_is_room_for_twenty(bench: Bench) -> None:
    for number in range(MOST_RUNNING):
        bench.deploy(str(number), keep_running=number < 3)

    with pytest.raises(TooManyDeployments, match="20 deployments are running"):
        bench.deploy("one more")
    assert bench.store.live() == Live(running=20, kept=3)
    bench.store.stop(bench.store.running()[0].id)
    assert bench.deploy("one more").state == "running"
    assert [each.state for each in bench.store.newest(50)] == ["running"] * 20 + ["stopped"]


def row_of(bench: Bench, name: str) -> dict[str, Any]:
    with bench.database.reading() as connection:
        cursor = connection.execute("SELECT * FROM deployments WHERE id = ?", (name,))
        return dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))


@pytest.mark.parametrize(
    "change",
    [
        {"terms": "{}"},
        {"account": "[]"},
        {"account": '{"cash": 1, "units": {}, "held": {}, "decided": {}, "closes": {}}'},
        {"terms": "x"},
    ],
)
def test_a_row_of_an_archive_that_can_not_be_stepped_is_told(bench: Bench, change: dict[str, Any]) -> None:
    row = row_of(bench, bench.deploy().id)
    check_row(row)

    with pytest.raises(ValueError, match=r"."):
        check_row(row | change)


def test_an_import_wakes_the_stepper(bench: Bench) -> None:
    deployment = bench.deploy()
    stepped = threading.Event()

    class Watched(Desk):
        def step_all(self, stopping: Any = lambda: False) -> bool:
            well = super().step_all(stopping)
            if bench.store.get(deployment.id).last_bar != deployment.last_bar:
                stepped.set()
            return well

    desk = Watched(bench.store, strategies=bench.strategies, catalogue=bench.catalogue, sandbox=bench.runner)
    stepper = Stepper(desk)
    bench.catalogue.on_new_bars(stepper.wake)
    stepper.start()
    bench.catalogue.save("MY.SPX", spx(0, 65))

    assert stepped.wait(15)
    stepper.stop()
    courses_agree(bench.store, deployment, recomputed(spx(0, 65), begun_at=59))


async def until(client: Client, name: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The deployment once it is as wanted."""
    while True:
        listed = await call(client, "list_deployments")
        found: dict[str, Any] = next(each for each in listed["deployments"] if each["id"] == name)
        if wanted(found):
            return found


async def until_stepped(client: Client, name: str, last_bar: str) -> dict[str, Any]:
    """The deployment once it was stepped to this bar."""
    return await until(client, name, lambda found: bool(found["last_bar"] == last_bar))


async def test_a_deployment_over_mcp_from_the_first_bar_to_its_stop(client: Client) -> None:
    await call(client, "save_strategy", name="busy", source=BUSY)
    await call(client, "import_bars", symbol="MY.SPX", csv=format_bars(spx(0, 60)))
    wish = {"strategy": "busy", "symbol": "my.spx", "idempotency_key": "k1", "params": {"period": 3}}

    made = await asyncio.gather(*(call(client, "deploy_strategy", **wish) for _ in range(20)))
    assert len({each["id"] for each in made}) == 1
    deployed = made[0]
    assert "no real order is ever placed" in deployed["note"]
    assert (deployed["state"], deployed["equity"], deployed["last_bar"]) == ("running", 100_000.0, spx(59, 60).date(0))
    assert [order["state"] for order in deployed["orders"]] == ["open"]
    told = await refusal(client, "deploy_strategy", **{**wish, "params": {}})
    assert "has deployed something else" in told
    assert deployed["id"] in told

    await call(client, "import_bars", symbol="MY.SPX", csv=format_bars(spx(0, 75)))
    after = await until_stepped(client, deployed["id"], spx(74, 75).date(0))
    assert math.isclose(after["equity"], recomputed(spx(0, 75), begun_at=59)[-1], rel_tol=1e-9)
    assert math.isclose(after["cash"] + after["positions"][0]["value"], after["equity"], rel_tol=1e-9)
    assert len(after["orders"]) == 5

    stopped = await call(client, "stop_deployment", id=deployed["id"])
    assert (stopped["state"], stopped["equity"]) == ("stopped", after["equity"])
    assert "list_deployments" in await refusal(client, "stop_deployment", id="dep-none")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"params": {"period": [1]}}, "params.period"),
        ({"params": {"period": float("inf")}}, "params.period"),
        ({"fee_bps": -1}, "fee_bps: Input should be greater than or equal to 0"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"strategy": "none"}, "No strategy 'none'"),
    ],
)
async def test_wrong_arguments_are_named(client: Client, change: dict[str, Any], told: str) -> None:
    wish: dict[str, Any] = {"strategy": "sma_crossover", "symbol": "SPX", "idempotency_key": "wrong"}

    assert told in await refusal(client, "deploy_strategy", **{**wish, **change})


async def test_a_server_killed_while_it_steps_skips_no_bar_and_repeats_none(
    tmp_path: Path, key: Ed25519PrivateKey
) -> None:
    """Source: crash-safe at any kill -9: each bar exactly once, an acknowledged deployment is there."""

    async def deploy(server: RunningServer) -> str:
        async with server.client() as client:
            await call(client, "save_strategy", name="busy", source=BUSY)
            await call(client, "import_bars", symbol="MY.SPX", csv=format_bars(spx(0, 60)))
            made = await call(client, "deploy_strategy", strategy="busy", symbol="MY.SPX", idempotency_key="k")
            return str(made["id"])

    async def import_and_die(server: RunningServer, past: int) -> None:
        async with server.client() as client:
            await call(client, "import_bars", symbol="MY.SPX", csv=format_bars(spx(0, past)))
            # Somewhere in the middle: it steps a bar each time that the disk syncs.
            await until(client, name, lambda found: found["last_bar"] > spx(past - 40, past).date(0))
            server.process.kill()

    with running_server(tmp_path, key) as server:
        name = await deploy(server)
    for past in (100, 140):
        with running_server(tmp_path, key) as server:
            await import_and_die(server, past)
    with running_server(tmp_path, key) as server:
        async with server.client() as client:
            await until_stepped(client, name, spx(139, 140).date(0))
            repeated = await call(client, "deploy_strategy", strategy="busy", symbol="MY.SPX", idempotency_key="k")
            assert repeated["id"] == name

    bench = Bench(tmp_path / "data")
    courses_agree(bench.store, bench.store.get(name), recomputed(spx(0, 140), begun_at=59))
    assert json.loads(bench.store.get(name).request)["strategy"] == "busy"
    bench.close()
