"""How paper deployments fail, are held and end."""

from __future__ import annotations

import time
from typing import Any

import pytest
from mcp.client import Client

from mcp_server.deployments.store import Deployment, Live, check_row
from mcp_server.errors import (
    FutureBars,
    SandboxUnavailable,
    StrategyFailed,
    UnknownDeployment,
)
from mcp_server.market.bars import Bar, Bars
from mcp_server.market.sources.imported import ImportedSource
from mcp_server.market.times import DAY, show_date
from mcp_server.sandbox import Answer, Job
from mcp_server.tests.deploying import Bench, courses_agree, recomputed, request, spx
from mcp_server.tests.direct import DirectRunner
from mcp_server.tests.harness import refusal


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


def scaled(bars: Bars, factor: float) -> Bars:
    """The same bars after a split: all prices by a factor."""
    prices = ("open", "high", "low", "close")
    return Bars.of([row._replace(**{name: getattr(row, name) * factor for name in prices}) for row in bars.rows()])


def note_of(bench: Bench, deployment: Deployment) -> str:
    return bench.store.get(deployment.id).last_error or ""


def test_adjusted_history_makes_no_phantom_profit(bench: Bench) -> None:
    """Source: units bought at 100 and valued at 50, or at 200, after a series was imported again, adjusted for a split."""
    deployment = bench.deploy()
    bench.catalogue.save("MY.SPX", spx(0, 70))
    bench.desk.step_all()
    before = bench.store.get(deployment.id)

    bench.catalogue.save("MY.SPX", scaled(spx(0, 80), 2.0))
    assert not bench.desk.step_all()

    held = bench.store.get(deployment.id)
    assert (held.state, held.tries, held.last_bar, held.account) == ("running", 0, before.last_bar, before.account)
    assert note_of(bench, deployment).startswith(
        f"HistoryChanged: The close of MY.SPX at {spx(69, 70).date(0)}, its last bar, was "
    )
    assert "stop it and deploy again" in note_of(bench, deployment)


def test_a_held_deployment_goes_on_when_its_history_is_back(bench: Bench) -> None:
    deployment = bench.deploy()
    bench.catalogue.save("MY.SPX", scaled(spx(0, 60), 0.5))
    bench.desk.step_all()
    assert note_of(bench, deployment).startswith("HistoryChanged")

    bench.catalogue.save("MY.SPX", spx(0, 60))
    assert bench.desk.step_all()
    assert note_of(bench, deployment) == ""
    bench.catalogue.save("MY.SPX", spx(0, 75))
    bench.desk.step_all()

    courses_agree(bench.store, deployment, recomputed(spx(0, 75), begun_at=59))


def test_a_mended_last_bar_holds_nothing(bench: Bench) -> None:
    """Source: an exchange mends its newest bar by a little."""
    deployment = bench.deploy()
    rows = spx(0, 62).rows()
    rows[59] = rows[59]._replace(close=rows[59].close * 1.0001, high=rows[59].high * 1.001)
    bench.catalogue.save("MY.SPX", Bars.of(rows))

    assert bench.desk.step_all()
    assert len(bench.store.steps(deployment.id)) == 3


def test_history_without_the_last_bar_holds(bench: Bench) -> None:
    deployment = bench.deploy()
    rows = spx(0, 70).rows()
    bench.catalogue.save("MY.SPX", Bars.of(rows[:59] + rows[60:]))

    assert not bench.desk.step_all()
    assert f"no longer hold the one of {spx(59, 60).date(0)}" in note_of(bench, deployment)


def test_an_error_that_lasts_is_written_once(bench: Bench) -> None:
    deployment = bench.deploy()
    bench.store.note_error(deployment.id, "Held: so", counts=False)
    with bench.database.reading() as connection:
        changes = connection.total_changes
    bench.store.note_error(deployment.id, "Held: so", counts=False)

    with bench.database.reading() as connection:
        assert connection.total_changes == changes


FUTURE = Bar("2199-01-04", 10.0, 12.0, 9.0, 11.0, 0.0)


def kept_from_an_archive(bench: Bench, symbol: str, bars: Bars) -> None:
    """Bars past the check of an import, as an archive brings them."""
    ImportedSource(bench.database).save(symbol, bars)


def test_bars_of_the_future_are_refused(bench: Bench) -> None:
    """Source: one bar dated 2199 stopped a deployment for good, without a word."""
    bench.catalogue.save("MY.SPX", spx(0, 60))

    with pytest.raises(FutureBars, match=r"1 of the 61 bars .* after tomorrow, the first 2199-01-04: nothing was"):
        bench.catalogue.save("MY.SPX", Bars.of([*spx(0, 60).rows(), FUTURE]))
    assert len(bench.catalogue.find("MY.SPX")[1]) == 60


def test_todays_and_tomorrows_bars_are_taken(bench: Bench) -> None:
    """Source: it is tomorrow already east of Greenwich."""
    today = time.time_ns() // DAY * DAY
    rows = [FUTURE._replace(date=show_date(today + days * DAY)) for days in range(2)]

    bench.catalogue.save("MY.NEW", Bars.of(rows))

    assert len(bench.catalogue.find("MY.NEW")[1]) == 2


def test_a_deployment_is_never_stepped_on_a_bar_of_the_future(bench: Bench) -> None:
    deployment = bench.deploy()
    kept_from_an_archive(bench, "MY.SPX", Bars.of([*spx(0, 70).rows(), FUTURE]))
    bench.desk.step_all()
    assert bench.store.get(deployment.id).last_bar == spx(69, 70).times[0]
    bench.catalogue.save("MY.SPX", spx(0, 80))
    bench.desk.step_all()

    courses_agree(bench.store, deployment, recomputed(spx(0, 80), begun_at=59))


def test_one_that_already_stands_on_such_a_bar_says_so(bench: Bench) -> None:
    deployment = bench.deploy()
    with bench.database.writing() as connection:
        connection.execute("UPDATE deployments SET last_bar = ?", (Bars.of([FUTURE]).times[0],))

    assert not bench.desk.step_all()
    assert "stands on the bar of 2199-01-04, which is in the future" in note_of(bench, deployment)


async def test_an_import_of_future_bars_is_refused_over_mcp(client: Client) -> None:
    told = await refusal(client, "import_bars", symbol="MY.F", csv="date,open,high,low,close\n2199-01-04,10,12,9,11")

    assert "dated after tomorrow, the first 2199-01-04" in told
