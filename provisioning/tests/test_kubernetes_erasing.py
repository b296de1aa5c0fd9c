"""A start under which another process erases the workspace: nothing of it stays that locks the user out later."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from accounts.licences import Licence
from gateway.leases import Lease
from provisioning import rows
from provisioning.backends._kubernetes.cluster import cluster
from provisioning.backends._kubernetes.demand import new_mark
from provisioning.backends._kubernetes.drift import Action
from provisioning.backends._kubernetes.placing import Placing
from provisioning.errors import Cause, WorkspaceFailed
from provisioning.names import workspace_name
from provisioning.specs import spec_of
from provisioning.tests.bed import VOLUMES, Bed
from provisioning.tests.cluster import Fault, Gate
from provisioning.tests.drift_states import LATELY, annotated, reconcile
from provisioning.tests.gateways import until
from provisioning.workspaces import ensure_workspace, stop_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("lease")]
NAME = workspace_name("demo-pro")
PARTS = ("deployments", "services", "serviceaccounts", VOLUMES)


@pytest.fixture
async def eraser(pool: None) -> AsyncIterator[Lease]:
    """The lease of the Job of deploy/erase, which works by an account of its own."""
    other = Lease("erase")
    await asyncio.to_thread(other.acquire)
    yield other
    await asyncio.to_thread(other.release)


async def erase(bed: Bed, eraser: Lease) -> None:
    claim = await rows.claim_stop(NAME, holder=eraser.id)
    assert claim is not None
    for plural in PARTS:
        if NAME in bed.cluster.names(plural):
            bed.cluster.delete(plural, NAME)
    await rows.forget(claim)


async def erased_while_the_deployment_is_written(
    bed: Bed, pro: Licence, eraser: Lease, *, unheard: bool = False
) -> WorkspaceFailed:
    """How the start ends; with `unheard` the answer to its write is lost."""
    gate = Gate()
    bed.cluster.faults.add(Fault(verb="patch", resource="deployments", name=NAME, gate=gate, drop_after=unheard))
    start = asyncio.create_task(ensure_workspace(pro))
    try:
        await until(lambda: asyncio.sleep(0, gate.reached.is_set()))
        await erase(bed, eraser)
    finally:
        gate.open()
    with pytest.raises(WorkspaceFailed) as failure:
        await start
    await bed.heard()
    return failure.value


@pytest.mark.parametrize("unheard", [False, True])
@pytest.mark.parametrize("known", [False, True])
async def test_an_erasure_under_a_start_leaves_no_deployment_without_its_volume(
    known: bool, unheard: bool, bed: Bed, pro: Licence, eraser: Lease
) -> None:
    if known:
        await ensure_workspace(pro)
        await stop_workspace("demo-pro")
        await bed.heard()
    failure = await erased_while_the_deployment_is_written(bed, pro, eraser, unheard=unheard)

    assert failure.cause == Cause.STOPPED
    assert (bed.cluster.names("deployments"), bed.cluster.names(VOLUMES)) == ([], [])
    # The controller has met what was half erased, and tries less and less often.
    bed.cluster.advance(600)
    await ensure_workspace(pro)
    assert len(bed.ready(NAME)) == 1


async def created_unheard_by_a_gateway_that_dies(bed: Bed, pro: Licence) -> None:
    """Its Deployment comes after an erasure has ended."""
    gate = Gate()
    bed.cluster.faults.add(Fault(verb="patch", resource="deployments", name=NAME, gate=gate, drop_after=True))
    placing = asyncio.create_task(Placing(await cluster(), spec_of(pro), new_mark()).place(restart=False))
    try:
        await until(lambda: asyncio.sleep(0, gate.reached.is_set()))
        for plural in ("serviceaccounts", VOLUMES):
            bed.cluster.delete(plural, NAME)
        died = bed.cluster.faults.add(Fault(times=None, drop=True))
    finally:
        gate.open()
    await until(lambda: asyncio.sleep(0, NAME in bed.cluster.names("deployments")))
    placing.cancel()
    await asyncio.wait([placing])
    bed.cluster.faults.remove(died)
    await bed.heard()


async def test_what_a_dead_gateway_created_after_an_erasure_locks_its_user_out_for_minutes_at_most(
    bed: Bed, pro: Licence
) -> None:
    """Source: nobody is left to take it back, and alone it passes for a workspace whose data were lost."""
    await created_unheard_by_a_gateway_that_dies(bed, pro)
    done = [finding.done for finding in await reconcile()]
    await bed.heard()
    await annotated(orphaned=LATELY)(bed)
    await bed.heard()
    done += [finding.done for finding in await reconcile()]
    await bed.heard()

    assert done == [Action.STOP_ORPHAN, Action.DELETE_ORPHAN]
    assert [plural for plural in PARTS if NAME in bed.cluster.names(plural)] == []
    bed.cluster.advance(600)
    await ensure_workspace(pro)
    assert len(bed.ready(NAME)) == 1


async def test_what_a_person_deletes_under_a_start_is_made_anew_the_volume_first(bed: Bed, pro: Licence) -> None:
    """Source: the row is this start's still, and so is the workspace."""
    await ensure_workspace(pro)
    await stop_workspace("demo-pro")
    await bed.heard()
    gate = Gate()
    bed.cluster.faults.add(Fault(verb="patch", resource="deployments", name=NAME, gate=gate))
    start = asyncio.create_task(ensure_workspace(pro))
    try:
        await until(lambda: asyncio.sleep(0, gate.reached.is_set()))
        for plural in PARTS:
            if NAME in bed.cluster.names(plural):
                bed.cluster.delete(plural, NAME)
    finally:
        gate.open()
    await start

    assert all(NAME in bed.cluster.names(plural) for plural in PARTS)
    assert len(bed.ready(NAME)) == 1


async def test_a_start_that_lost_its_claim_does_not_delete_what_another_has_started(
    bed: Bed, pro: Licence, eraser: Lease
) -> None:
    """Source: the claim's new holder may have been quicker; what was only joined is nobody's to take back."""
    spec = spec_of(pro)
    gate = Gate()
    bed.cluster.faults.add(Fault(verb="patch", resource="deployments", name=NAME, gate=gate))
    start = asyncio.create_task(ensure_workspace(pro))
    try:
        await until(lambda: asyncio.sleep(0, gate.reached.is_set()))
        assert await rows.claim_stop(NAME, holder=eraser.id) is not None
        await Placing(await cluster(), spec, new_mark()).place(restart=False)
    finally:
        gate.open()
    with pytest.raises(WorkspaceFailed):
        await start

    assert bed.cluster.names("deployments") == [NAME]
