"""Paper deployments in a server: woken, stepped, and killed in between."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp.client import Client

from mcp_server.deployments.desk import Desk
from mcp_server.deployments.stepper import Stepper
from mcp_server.deployments.store import Deployments
from mcp_server.market.catalogue import Catalogue
from mcp_server.market.csv_format import format_bars
from mcp_server.storage.database import Database
from mcp_server.strategies.store import Strategies
from mcp_server.tests.deploying import BUSY, Bench, courses_agree, recomputed, spx
from mcp_server.tests.direct import DirectRunner
from mcp_server.tests.harness import USER, RunningServer, call, refusal, running_server


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

    assert stepped.wait(60)
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
