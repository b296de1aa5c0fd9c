"""While the API server is out of reach, what runs serves on, for as long as that lasts."""

import pytest

from accounts.licences import Licence
from provisioning import launching, rows
from provisioning.backends import kubernetes
from provisioning.backends._kubernetes import demand, transport
from provisioning.backends._kubernetes.demand import Demand
from provisioning.errors import Cause, WorkspaceFailed
from provisioning.names import workspace_name
from provisioning.tests.bed import Bed
from provisioning.tests.cluster import Fault, Gate, Refused
from provisioning.workspaces import ensure_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("lease")]
NAME = workspace_name("demo-pro")
UNWELL = Refused(503, "ServiceUnavailable", "the server is currently unable to handle the request")


@pytest.fixture
def past(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of the marks' clock, and calls that are given up soon."""
    now = [0.0]
    monkeypatch.setattr(kubernetes.BACKEND, "demand", Demand(clock=lambda: now[0]))
    monkeypatch.setattr(transport, "PATIENCE_S", 0.1)
    monkeypatch.setattr(demand, "WAIT_S", 1.0)
    return now


async def test_a_workspace_in_use_outlives_an_outage_that_is_longer_than_its_idle_time(
    bed: Bed, pro: Licence, past: list[float]
) -> None:
    """Source: no sidecar can stop it without the API server either."""
    await ensure_workspace(pro)
    [pod] = bed.ready(NAME)
    bed.cluster.faults.add(Fault(times=None, drop=True))
    bed.cluster.end_watches()
    for part in (0.3, 0.6, 0.8, 3.0):
        past[0] = pro.limits.idle_s * part
        await ensure_workspace(pro)
        # Within the pause after a mark that could not be written, too.
        await ensure_workspace(pro)

    row = await rows.find(NAME)
    assert (bed.ready(NAME), row and (row.state, row.generation)) == ([pod], ("ready", 1))


async def test_an_api_server_that_never_answers_holds_up_nobody_whose_workspace_answers(
    bed: Bed, pro: Licence, past: list[float]
) -> None:
    await ensure_workspace(pro)
    past[0] = pro.limits.idle_s * 0.8
    gate = Gate()
    bed.cluster.faults.add(Fault(verb="patch", resource="deployments", name=NAME, gate=gate))
    try:
        await ensure_workspace(pro)
    finally:
        gate.open()

    row = await rows.find(NAME)
    assert row is not None
    assert (row.state, row.generation) == ("ready", 1)


async def test_a_workspace_that_answers_no_more_is_not_claimed_for_a_start_that_an_outage_prevents(
    bed: Bed, pro: Licence, past: list[float]
) -> None:
    """Source: a row that says failed would lock its user out for longer than the outage."""
    await ensure_workspace(pro)
    bed.deaf.update(bed.ready(NAME))
    bed.cluster.faults.add(Fault(times=None, drop=True))
    bed.cluster.end_watches()
    past[0] = pro.limits.idle_s
    for _ in range(2):
        with pytest.raises(WorkspaceFailed) as failure:
            await ensure_workspace(pro)
        launching.forget_all()
        assert failure.value.cause == Cause.CLUSTER_AWAY

    row = await rows.find(NAME)
    assert row is not None
    assert (row.state, row.generation) == ("ready", 1)


async def test_an_api_server_that_answers_and_takes_no_mark_may_take_the_sidecars_word(
    bed: Bed, pro: Licence, past: list[float]
) -> None:
    await ensure_workspace(pro)
    past[0] = pro.limits.idle_s
    bed.cluster.faults.add(Fault(verb="patch", resource="deployments", times=None, refusal=UNWELL))
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(pro)

    assert failure.value.cause == Cause.CLUSTER_AWAY
    row = await rows.find(NAME)
    assert row is not None
    assert row.state == "failed"
