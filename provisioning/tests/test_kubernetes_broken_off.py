"""Work that is broken off, or comes too late, does not stand in the way of whoever comes next."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.leases import Lease
from provisioning import holding, launching, rows
from provisioning.backends._kubernetes.drift import Action
from provisioning.errors import Cause, WorkspaceFailed
from provisioning.flights import flights
from provisioning.models import State
from provisioning.names import workspace_name
from provisioning.tests.bed import Bed
from provisioning.tests.cluster import Fault, Gate, Plan
from provisioning.tests.drift_states import NAME, USER, reconcile, row_says
from provisioning.tests.gateways import licence_of, until
from provisioning.workspaces import delete_workspace, ensure_workspace, stop_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users")]


@asynccontextmanager
async def another_gateway(own: Lease) -> AsyncIterator[None]:
    """Inside the block this process is another gateway, while the lease of the first one goes on."""
    other = Lease("other")
    await asyncio.to_thread(other.acquire)
    holding.hold_with(other)
    launching.forget_all()
    try:
        yield
    finally:
        holding.hold_with(own)
        await asyncio.to_thread(other.release)


async def started_elsewhere(own: Lease) -> None:
    async with another_gateway(own), asyncio.timeout(20):
        await ensure_workspace(licence_of(USER))


async def state() -> tuple[str, bool]:
    row = await rows.find(NAME)
    assert row is not None
    return row.state, row.held


@pytest.fixture
def api_is_away(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> Fault:
    """For as long as this fault is among the cluster's."""
    monkeypatch.setattr("provisioning.backends._kubernetes.transport.PATIENCE_S", 0.2)
    return Fault(verb="patch", resource="deployments", drop=True, times=None)


async def test_a_stop_that_failed_leaves_the_workspace_to_any_gateway(
    bed: Bed, lease: Lease, api_is_away: Fault
) -> None:
    await ensure_workspace(licence_of(USER))
    bed.cluster.faults.add(api_is_away)
    with pytest.raises(WorkspaceFailed):
        await stop_workspace(USER)

    assert await state() == (State.STOPPING, False)
    with pytest.raises(WorkspaceFailed) as told:
        await started_elsewhere(lease)
    assert told.value.cause == Cause.CLUSTER_AWAY

    bed.cluster.faults.clear()
    await started_elsewhere(lease)
    assert len(bed.ready(NAME)) == 1


async def test_a_workspace_whose_pod_does_not_end_may_be_started_by_another_gateway(
    bed: Bed, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source: the kubelet of a node that is gone never says that a pod has ended."""
    monkeypatch.setattr("provisioning.backends._kubernetes.removing.GONE_WITHIN_S", 0.3)
    await ensure_workspace(licence_of(USER))
    bed.cluster.plan(NAME, Plan(stop_s=10**6))
    with pytest.raises(WorkspaceFailed) as told:
        await stop_workspace(USER)
    assert "does not end" in told.value.detail

    await started_elsewhere(lease)
    assert (await state())[0] == State.READY


async def test_a_stop_that_is_cancelled_leaves_the_workspace_to_any_gateway(bed: Bed, lease: Lease) -> None:
    await ensure_workspace(licence_of(USER))
    gate = Gate()
    bed.cluster.faults.add(Fault(verb="patch", resource="deployments", gate=gate))
    stopping = asyncio.create_task(stop_workspace(USER))
    await asyncio.to_thread(gate.reached.wait, 20)
    assert await state() == (State.STOPPING, True)
    stopping.cancel()
    await asyncio.wait([stopping])
    gate.open()

    assert stopping.cancelled()
    assert await state() == (State.STOPPING, False)


async def test_a_deletion_that_failed_leaves_the_workspace_to_any_gateway(
    bed: Bed, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioning.backends._kubernetes.transport.PATIENCE_S", 0.2)
    await ensure_workspace(licence_of(USER))
    bed.cluster.faults.add(Fault(verb="delete", resource="services", drop=True, times=None))
    with pytest.raises(WorkspaceFailed):
        await delete_workspace(USER, with_data=False)
    bed.cluster.faults.clear()

    await started_elsewhere(lease)
    assert len(bed.ready(NAME)) == 1


async def test_a_reconcile_does_not_break_off_the_start_of_a_user_who_came_back(
    bed: Bed, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source: between a pass's look and its step others are mended, which may take a minute."""
    monkeypatch.setattr("provisioning.backends._kubernetes.reconciling.AT_ONCE", 1)
    users = {workspace_name(user): user for user in (USER, "demo-free")}
    for name, user in users.items():
        await ensure_workspace(licence_of(user))
        await bed.scale(name, 0)
    await row_says(State.STOPPING)
    launching.forget_all()
    first, second = Gate(), Gate()
    bed.cluster.faults.add(Fault(verb="patch", resource="deployments", gate=first))
    passing = asyncio.create_task(reconcile())
    await asyncio.to_thread(first.reached.wait, 20)
    [later] = [name for name in users if not flights().lock(name).locked()]
    bed.cluster.faults.add(Fault(verb="patch", resource="deployments", name=later, gate=second))
    starting = asyncio.create_task(ensure_workspace(licence_of(users[later])))
    await asyncio.to_thread(second.reached.wait, 20)
    first.open()
    findings = {finding.name: finding.done for finding in await passing}
    second.open()

    assert findings.pop(later) == "nothing: it has changed meanwhile"
    assert list(findings.values()) == [Action.FINISH.value]
    await starting
    assert len(bed.ready(later)) == 1


def unready(pod: dict[str, Any]) -> None:
    for condition in pod["status"]["conditions"]:
        if condition["type"] == "Ready":
            condition["status"] = "False"


async def joining(bed: Bed) -> "asyncio.Task[Any]":
    """A start that waits for the pod of a workspace that runs, which has not been ready for a moment."""
    await ensure_workspace(licence_of(USER))
    bed.cluster.edit("pods", bed.cluster.pods_of(NAME)[0]["metadata"]["name"], unready)
    await bed.heard()
    starting = asyncio.create_task(ensure_workspace(licence_of(USER)))
    await entered("starting")
    return starting


async def entered(stage: str) -> None:
    async def is_in_it() -> bool:
        row = await rows.find(NAME)
        return row is not None and (row.state, row.stage) == (State.STARTING, stage)

    await until(is_in_it)


async def test_a_start_that_only_joined_a_running_workspace_leaves_it_running(bed: Bed, lease: Lease) -> None:
    """Source: other requests of its user are being served by it, also those of other gateways."""
    starting = await joining(bed)
    await flights().cancel(cause=Cause.SHUTTING_DOWN)

    with pytest.raises(WorkspaceFailed):
        await starting
    assert bed.replicas(NAME) == 1


async def test_a_start_that_joined_a_workspace_and_then_woke_it_leaves_nothing_running(bed: Bed, lease: Lease) -> None:
    starting = await joining(bed)
    bed.cluster.plan(NAME, Plan(boot_s=10**6))
    await bed.scale(NAME, 0)
    # The new pod, whose sidecar boots.
    await entered("pulling")
    assert bed.replicas(NAME) == 1
    await flights().cancel(cause=Cause.SHUTTING_DOWN)
    with pytest.raises(WorkspaceFailed):
        await starting
    assert bed.replicas(NAME) == 0
