"""A kept connection says that its workspace is wanted before it is used: the workspace may be idle for less long than it.

Source: DESIGN.md, section 7: the gateway annotates demand before it routes; what runs costs no calls.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.errors import AgentFailed
from agents.mcp.pool import Pool
from agents.tests.doubles.http_server import Asked, Reply
from agents.tests.doubles.mcp_double import McpDouble, mcp_double, result
from agents.tests.licences import licence
from provisioning import launching
from provisioning.backends import kubernetes
from provisioning.backends._kubernetes.demand import AGAIN_S, Demand
from provisioning.names import workspace_name
from provisioning.stages import StageReport
from provisioning.tests.bed import Bed
from provisioning.tests.bed import bed as cluster_bed
from provisioning.tests.cluster import Fault, Gate
from provisioning.tests.cluster.statuses import Refused

pytestmark = pytest.mark.django_db(transaction=True)
USER = "demo-pro"
NAME = workspace_name(USER)
IDLE_S = 3600


class Clock:
    """The time of the marks."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(kubernetes.BACKEND, "demand", Demand(clock=made))
    return made


@pytest.fixture
async def double() -> AsyncIterator[McpDouble]:
    """A server that also answers the ping by which a start asks whether it is there."""
    async with mcp_double() as made:

        def instead(asked: Asked) -> Reply:
            if asked.body["method"] == "ping":
                return result(asked, {})
            made.instead = None
            try:
                return made.answer(asked)
            finally:
                made.instead = instead

        made.instead = instead
        yield made


@pytest.fixture
async def bed(
    tmp_path: Path, settings: Any, signing_key: str, pool: None, double: McpDouble, clock: Clock
) -> AsyncIterator[Bed]:
    """A cluster whose every workspace is the double."""
    with cluster_bed(tmp_path, settings) as made:
        settings.WORKSPACE_ENDPOINT_TEMPLATE = f"{double.url}?of={{name}}"
        yield made
        launching.forget_all()
        await kubernetes.BACKEND.close()


@pytest.fixture
async def connections() -> AsyncIterator[Pool]:
    kept = Pool()
    yield kept
    await kept.close()


async def test_a_kept_connection_marks_its_workspace_as_wanted_once_the_mark_is_old(
    bed: Bed, connections: Pool, double: McpDouble, clock: Clock
) -> None:
    session = connections.session(licence(USER))
    await session.call_tool("look", {})
    bed.cluster.journal.clear()
    clock.now += IDLE_S / 4
    await session.call_tool("look", {})
    assert bed.cluster.journal.calls == []

    clock.now += IDLE_S / 4
    await session.call_tool("look", {})
    await session.call_tool("look", {})

    assert dict(bed.cluster.journal.counted()) == {"patch deployments": 1}
    assert double.count("server/discover") == 1


async def test_a_workspace_that_stopped_under_a_kept_connection_is_woken_before_the_call_is_sent(
    bed: Bed, connections: Pool, double: McpDouble
) -> None:
    session = connections.session(licence(USER))
    await session.call_tool("look", {})
    await bed.scale(NAME, 0)
    bed.cluster.journal.clear()
    woken: list[int] = []

    def noted(asked: Asked) -> Reply:
        woken.append(len(bed.ready(NAME)))
        return result(asked, {"content": [], "isError": False, "resultType": "complete"})

    double.call = noted
    await session.call_tool("look", {})

    assert woken == [1]
    assert dict(bed.cluster.journal.counted()) == {"patch deployments": 1}


async def test_an_api_server_that_is_away_holds_no_call_up_twice(
    bed: Bed, connections: Pool, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source: what runs must not depend on the control plane, and a sidecar needs the same one to stop it."""
    monkeypatch.setattr("provisioning.backends._kubernetes.transport.PATIENCE_S", 0.0)
    session = connections.session(licence(USER))
    await session.call_tool("look", {})
    fault = bed.cluster.faults.add(Fault(verb="patch", resource="deployments", drop=True, times=None))
    # The last mark is due for another, and still keeps the sidecar from a stop.
    clock.now += IDLE_S * 0.6
    bed.cluster.journal.clear()
    for _ in range(3):
        assert (await session.call_tool("look", {})).text == "done"
    assert len(bed.cluster.journal.of(verb="patch", resource="deployments")) == 1

    bed.cluster.faults.remove(fault)
    clock.now += AGAIN_S
    await session.call_tool("look", {})
    assert len(bed.cluster.journal.of(verb="patch", resource="deployments")) == 2


async def test_no_call_is_let_through_on_an_old_mark_where_the_api_server_answers_and_takes_no_other(
    bed: Bed, connections: Pool, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it may take the sidecar's word."""
    monkeypatch.setattr("provisioning.backends._kubernetes.transport.PATIENCE_S", 0.0)
    session = connections.session(licence(USER))
    await session.call_tool("look", {})
    refusal = Refused(500, "InternalError", "oops")
    bed.cluster.faults.add(Fault(verb="patch", resource="deployments", refusal=refusal, times=None))
    clock.now += IDLE_S

    with pytest.raises(AgentFailed):
        await session.call_tool("look", {})


async def test_where_no_mark_can_be_written_any_more_a_workspace_that_answers_is_used(
    bed: Bed, connections: Pool, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioning.backends._kubernetes.transport.PATIENCE_S", 0.0)
    session = connections.session(licence(USER))
    await session.call_tool("look", {})
    bed.cluster.faults.add(Fault(verb="patch", resource="deployments", drop=True, times=None))
    clock.now += IDLE_S

    assert (await session.call_tool("look", {})).text == "done"


async def test_a_mark_that_takes_long_is_written_while_the_call_is_on_its_way(
    bed: Bed, connections: Pool, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioning.backends._kubernetes.demand.WAIT_S", 0.05)
    session = connections.session(licence(USER))
    await session.call_tool("look", {})
    gate = Gate()
    bed.cluster.faults.add(Fault(verb="patch", resource="deployments", gate=gate))
    clock.now += IDLE_S
    assert (await session.call_tool("look", {})).text == "done"
    assert gate.reached.is_set()
    gate.open()


async def test_a_conversation_is_told_once_that_a_change_of_the_licence_waits_for_a_restart(
    bed: Bed, connections: Pool
) -> None:
    """Source: one announced restart at the next idle stop; nothing is restarted by surprise."""
    bed.cluster.resizes_pods = False
    told: list[StageReport] = []

    async def tell(report: StageReport) -> None:
        told.append(report)

    of_pro = licence(USER)
    await connections.session(of_pro, on_stage=tell).call_tool("look", {})
    told.clear()
    bigger = replace(of_pro, limits=of_pro.limits.model_copy(update={"memory": "3Gi"}))
    for _ in range(2):
        await connections.session(bigger, on_stage=tell).call_tool("look", {})

    assert told == [StageReport("ready", kubernetes.CHANGED)]
