"""Starts on Kubernetes: DESIGN, section 7, against an API server with controllers."""

import asyncio

import pytest

from accounts.licences import Licence
from provisioning import launching, rows
from provisioning.models import State
from provisioning.names import workspace_name
from provisioning.tests.bed import Bed
from provisioning.tests.gateways import licence_of
from provisioning.workspaces import ensure_workspace, stop_workspace, workspace_status

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("lease")]
NAME = workspace_name("demo-pro")


async def test_a_first_start_is_four_writes_and_no_polls(bed: Bed, pro: Licence) -> None:
    await ensure_workspace(licence_of("demo-free"))
    bed.cluster.journal.clear()
    endpoint = await ensure_workspace(pro)

    assert endpoint.url.endswith(f"/{NAME}/mcp")
    assert dict(bed.cluster.journal.counted()) == {
        "patch serviceaccounts": 1,
        "patch persistentvolumeclaims": 1,
        "patch deployments": 1,
        "patch services": 1,
    }


async def test_a_running_workspace_costs_no_call(bed: Bed, pro: Licence) -> None:
    await ensure_workspace(pro)
    bed.cluster.journal.clear()
    await ensure_workspace(pro)
    launching.forget_all()
    await ensure_workspace(pro)

    assert bed.cluster.journal.calls == []


async def test_a_workspace_that_sleeps_is_woken_by_one_call(bed: Bed, pro: Licence) -> None:
    await ensure_workspace(pro)
    await bed.scale(NAME, 0)
    bed.cluster.journal.clear()
    await ensure_workspace(pro)

    assert dict(bed.cluster.journal.counted()) == {"patch deployments": 1}
    assert len(bed.ready(NAME)) == 1


async def test_a_stop_scales_to_zero_and_keeps_the_data(bed: Bed, pro: Licence) -> None:
    await ensure_workspace(pro)
    await stop_workspace("demo-pro")

    assert bed.replicas(NAME) == 0
    assert bed.cluster.names("persistentvolumeclaims") == [NAME]
    assert (await workspace_status("demo-pro")).state == State.STOPPED


async def test_fifty_callers_make_one_of_each_object(bed: Bed, pro: Licence) -> None:
    endpoints = await asyncio.gather(*(ensure_workspace(pro) for _ in range(50)))

    assert len({endpoint.url for endpoint in endpoints}) == 1
    for plural in ("deployments", "services", "persistentvolumeclaims"):
        assert bed.cluster.names(plural) == [NAME]


async def test_a_pod_that_was_replaced_is_another_instance(bed: Bed, pro: Licence) -> None:
    await ensure_workspace(pro)
    [first] = bed.ready(NAME)
    bed.cluster.delete("pods", bed.cluster.pods_of(NAME)[0]["metadata"]["name"])
    bed.cluster.advance(60)
    await bed.heard()
    await ensure_workspace(pro)

    assert bed.ready(NAME) != [first]
    row = await rows.find(NAME)
    assert row is not None
    assert row.facts["pod"] in bed.ready(NAME)
