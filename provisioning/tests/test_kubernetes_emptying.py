"""A workspace that seems to serve nobody, and does: what this process has not heard of is asked before it is scaled to 0."""

import pytest

from provisioning import rows
from provisioning.backends._kubernetes.cluster import cluster
from provisioning.backends._kubernetes.drift import DOWN_KEPT
from provisioning.models import State
from provisioning.tests.bed import Bed
from provisioning.tests.cluster import Fault, Refused
from provisioning.tests.drift_states import NAME, USER, Inject, has_been_down_for, pod_fails, reconcile, row_is, settle
from provisioning.tests.gateways import licence_of, until
from provisioning.tests.test_kubernetes_outages import crashes
from provisioning.workspaces import ensure_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("lease", "users")]
CHANGED = "nothing: it has changed meanwhile"
UNWELL = Refused(503, "ServiceUnavailable", "the server is currently unable to handle the request")


async def down_for_long(bed: Bed) -> None:
    await crashes(bed)
    await settle()
    await reconcile()
    await has_been_down_for(DOWN_KEPT)


SEEMS = {
    "a start that nobody is at": [pod_fails, row_is(State.STARTING)],
    "failed in the table": [pod_fails, row_is(State.FAILED)],
    "down for ten minutes": [down_for_long],
}


async def comes_up_unheard(bed: Bed) -> None:
    """The watch of the pods has broken off, and nobody has noticed yet; the others tell on."""
    bed.cluster.faults.add(Fault(verb="watch", resource="pods", times=None, silent=True))
    bed.cluster.silence_watches("pods")
    bed.cluster.plans.clear(NAME)
    bed.cluster.advance(600)
    known, version = await cluster(), bed.cluster.get("deployments", NAME)["metadata"]["resourceVersion"]

    async def is_heard() -> bool:
        found = known.look(NAME).deployment
        return found is not None and found.version == version

    await until(is_heard)


@pytest.mark.parametrize("injected", SEEMS.values(), ids=SEEMS)
async def test_what_has_come_up_unheard_is_left_alone(injected: list[Inject], bed: Bed) -> None:
    """Source: an API server that is back after an outage may tell of Deployments before it tells of pods."""
    await ensure_workspace(licence_of(USER))
    for inject in injected:
        await inject(bed)
    await settle()
    await bed.heard()
    before = await rows.find(NAME)
    await comes_up_unheard(bed)
    pods = bed.ready(NAME)
    done = [finding.done for finding in await reconcile()]

    assert done == [CHANGED]
    assert (len(pods), bed.ready(NAME), bed.replicas(NAME)) == (1, pods, 1)
    assert await rows.find(NAME) == before


@pytest.mark.parametrize("injected", SEEMS.values(), ids=SEEMS)
async def test_what_nobody_can_be_asked_about_is_left_alone(
    injected: list[Inject], bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ensure_workspace(licence_of(USER))
    for inject in injected:
        await inject(bed)
    await settle()
    await bed.heard()
    before = await rows.find(NAME)
    monkeypatch.setattr("provisioning.backends._kubernetes.transport.PATIENCE_S", 0.1)
    bed.cluster.faults.add(Fault(verb="list", resource="pods", times=None, refusal=UNWELL))
    [done] = [finding.done for finding in await reconcile()]

    assert done.endswith(": failed")
    assert bed.replicas(NAME) == 1
    assert await rows.find(NAME) == before


async def test_a_start_that_seems_down_is_not_ended_under_whoever_has_woken_it(bed: Bed) -> None:
    """Source: none of the watches tells anything, and nobody has noticed yet."""
    await ensure_workspace(licence_of(USER))
    await bed.scale(NAME, 0)
    await row_is(State.STARTING)(bed)
    await settle()
    bed.cluster.faults.add(Fault(verb="watch", times=None, silent=True))
    bed.cluster.silence_watches()
    bed.cluster.edit("deployments", NAME, lambda tree: tree["spec"].update(replicas=1))
    bed.cluster.advance(600)
    [pod] = bed.ready(NAME)
    done = [finding.done for finding in await reconcile()]

    assert done == [CHANGED]
    assert (bed.ready(NAME), bed.replicas(NAME)) == ([pod], 1)
