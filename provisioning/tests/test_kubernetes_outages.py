"""A workspace that is ready in the table and whose server does not run. Source: docs/operations.md, Reconcile."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from accounts.licences import Licence
from accounts.usage import total, usage_of
from provisioning import rows, timekeeping
from provisioning.backends._kubernetes.cluster import cluster
from provisioning.backends._kubernetes.drift import DOWN_KEPT, Action
from provisioning.backends._kubernetes.outages import outage_of
from provisioning.backends._kubernetes.views import SERVER
from provisioning.errors import Cause
from provisioning.models import State
from provisioning.names import workspace_name
from provisioning.tests.bed import Bed
from provisioning.tests.cluster import Plan, Trouble
from provisioning.tests.drift_states import Inject, has_been_down_for, is_stranded, reconcile, settle, write
from provisioning.workspaces import ensure_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("lease", "users")]
NAME = workspace_name("demo-pro")
MINUTE = timedelta(minutes=1)


async def crashes(bed: Bed) -> None:
    bed.cluster.plan(NAME, Plan(Trouble.CRASH_LOOP))
    bed.cluster.crash(NAME)
    bed.cluster.advance(5)
    await bed.heard()


async def is_evicted(bed: Bed) -> None:
    bed.cluster.plan(NAME, Plan(Trouble.UNSCHEDULABLE))
    bed.cluster.evict(NAME, "The node was low on resource: memory.")
    bed.cluster.advance(5)
    await bed.heard()


async def hangs_as_it_boots(bed: Bed) -> None:
    bed.cluster.plan(NAME, Plan(Trouble.NEVER_READY))
    bed.cluster.crash(NAME)
    bed.cluster.advance(60)
    await bed.heard()


async def loses_its_node(bed: Bed) -> None:
    [pod] = bed.cluster.pods_of(NAME)
    bed.cluster.edit("pods", pod["metadata"]["name"], is_stranded)
    await bed.heard()


BEFALLEN: list[tuple[Inject, Cause]] = [
    (crashes, Cause.CRASHED),
    (is_evicted, Cause.NO_ROOM),
    (hangs_as_it_boots, Cause.NEVER_READY),
    (loses_its_node, Cause.NODE_AWAY),
]


@pytest.mark.parametrize(("befall", "cause"), BEFALLEN, ids=[each[1] for each in BEFALLEN])
async def test_what_does_not_run_any_more_is_scaled_to_0_and_its_row_says_why(
    befall: Inject, cause: Cause, bed: Bed, pro: Licence
) -> None:
    await ensure_workspace(pro)
    await befall(bed)
    await settle()
    early = await reconcile()
    await has_been_down_for(DOWN_KEPT - MINUTE)
    early += await reconcile()
    await has_been_down_for(MINUTE)
    late = [finding.done for finding in await reconcile()]
    row = await rows.find(NAME)

    assert (early, late) == ([], [Action.GIVE_UP.value])
    assert row is not None
    assert (row.state, row.last_cause) == (State.FAILED, cause)
    assert bed.replicas(NAME) == 0
    await settle()
    await bed.heard()
    assert await reconcile() == []


async def test_a_server_that_has_come_back_by_itself_is_left_alone(bed: Bed, pro: Licence) -> None:
    await ensure_workspace(pro)
    await crashes(bed)
    await settle()
    await reconcile()
    bed.cluster.plans.clear(NAME)
    bed.cluster.advance(600)
    await bed.heard()
    await reconcile()

    assert (await cluster()).outages == {}
    assert bed.replicas(NAME) == 1


async def test_an_outage_lasts_while_a_server_is_started_again_and_again(bed: Bed, pro: Licence) -> None:
    """Source: between two crashes it runs, for longer than a look takes."""
    await ensure_workspace(pro)
    await crashes(bed)
    down = (await cluster()).look(NAME)
    began = datetime.now(UTC)
    first = outage_of(down, None, now=began)
    assert down.pod is not None
    running = tuple(
        replace(each, running=True, started=True, ready=True, waiting="", restarts=each.restarts + 1)
        if each.name == SERVER
        else each
        for each in down.pod.containers
    )
    up = replace(down, pods=(replace(down.pod, containers=running),))
    again = outage_of(up, first, now=began + MINUTE)

    assert again is not None
    assert again.since == began
    assert outage_of(up, again, now=began + 2 * MINUTE) is None
    assert outage_of(up, None, now=began) is None


async def test_only_the_time_in_which_a_pod_is_ready_is_counted(bed: Bed, pro: Licence) -> None:
    await ensure_workspace(pro)
    await passes(MINUTE)
    counted = await counted_s()
    await crashes(bed)
    await passes(MINUTE)
    while_down = await counted_s()
    bed.cluster.plans.clear(NAME)
    bed.cluster.advance(600)
    await bed.heard()
    await passes(MINUTE)

    assert counted >= 60
    assert while_down == counted
    # What passed while it was down is not made up for.
    assert 60 <= await counted_s() - counted < 100


async def passes(time: timedelta) -> None:
    """So much more time has passed, and a gateway counts."""
    await write("UPDATE workspaces SET since = since - %s, counted_at = counted_at - %s", time, time)
    await timekeeping.count_unowned(backend="kubernetes")


async def counted_s() -> int:
    return total(await usage_of("demo-pro", since=date(2026, 1, 1))).workspace_s
