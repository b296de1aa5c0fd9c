"""A server that runs and answers nobody is replaced when it hangs, and left at work when it only has much to do."""

import asyncio
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from accounts.licences import Licence
from provisioning import rows
from provisioning.backends import kubernetes
from provisioning.backends._kubernetes.cluster import cluster
from provisioning.backends._kubernetes.drift import DOWN_KEPT, Action
from provisioning.backends._kubernetes.silences import Silences
from provisioning.backends._kubernetes.starting import HUNG_S, SILENT, Budgets
from provisioning.backends._kubernetes.views import SERVER
from provisioning.errors import Cause, WorkspaceFailed
from provisioning.models import State
from provisioning.names import workspace_name
from provisioning.rendering import render_workspace
from provisioning.stages import StageReport
from provisioning.tests.bed import Bed
from provisioning.tests.cluster import Plan, Trouble
from provisioning.tests.drift_states import has_been_down_for, reconcile, settle, volume_is_lost
from provisioning.tests.gateways import licence_of, until, waits_for_a_silent_server
from provisioning.workspaces import ensure_workspace, stop_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("lease", "users")]
NAME = workspace_name("demo-pro")
Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What hangs is known to after a moment."""
    monkeypatch.setattr("provisioning.backends._kubernetes.starting.HUNG_S", 0.3)


def pods(bed: Bed) -> list[str]:
    return [pod["metadata"]["uid"] for pod in bed.cluster.pods_of(NAME)]


async def falls_silent(bed: Bed) -> str:
    """The workspace's server answers neither the kubelet nor its user any more; the pod's uid."""
    [uid] = bed.ready(NAME)
    bed.deaf.add(uid)
    bed.cluster.run(lambda: bed.cluster.kubelet.unready(uid, SERVER, "timeout"))
    await bed.heard()
    return uid


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("fresh", [False, True])
async def test_a_server_that_hangs_is_replaced_by_the_first_who_comes(fresh: bool, bed: Bed, pro: Licence) -> None:
    """Source: it was unready after 6 s, and every start waited its whole time for it, for ever."""
    await ensure_workspace(pro)
    hung = await falls_silent(bed)
    told: list[StageReport] = []

    async def tell(report: StageReport) -> None:
        told.append(report)

    await ensure_workspace(pro, fresh=fresh, on_stage=tell)

    assert hung not in pods(bed)
    assert len(bed.ready(NAME)) == 1
    assert StageReport("starting", SILENT) in told


async def test_a_server_that_answers_again_before_it_is_known_to_hang_is_joined(bed: Bed, pro: Licence) -> None:
    """Source: one with much to do misses a few probes, and its work goes on."""
    await ensure_workspace(pro)
    busy = await falls_silent(bed)
    asking = asyncio.create_task(ensure_workspace(pro))
    await until(waits_for_a_silent_server)
    bed.deaf.clear()
    bed.cluster.run(lambda: bed.cluster.kubelet.ready(busy, SERVER))
    await asking

    assert bed.ready(NAME) == [busy]


async def test_starts_that_wait_for_a_silent_server_hold_up_nobody(
    bed: Bed, pro: Licence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source: a node that stalls makes all its workspaces silent at once."""
    await ensure_workspace(pro)
    await falls_silent(bed)
    monkeypatch.setattr("provisioning.backends.kubernetes.STARTS_AT_ONCE", 1)
    monkeypatch.setattr(kubernetes.BACKEND, "_lines", WeakKeyDictionary())
    waiting = asyncio.create_task(ensure_workspace(pro))
    await until(waits_for_a_silent_server)
    await ensure_workspace(licence_of("demo-free"))

    assert not waiting.done()
    await stop_workspace("demo-pro")
    await asyncio.wait([waiting])


@pytest.mark.usefixtures("hasty")
async def test_a_server_that_answers_again_unheard_is_not_replaced(bed: Bed, pro: Licence) -> None:
    """Source: a watch that says nothing has told of no more than that it was silent."""
    await ensure_workspace(pro)
    busy = await falls_silent(bed)
    bed.cluster.silence_watches()
    bed.cluster.run(lambda: bed.cluster.kubelet.ready(busy, SERVER))
    asking = asyncio.create_task(ensure_workspace(pro))
    await until(lambda: asyncio.sleep(0, bool(bed.cluster.journal.of(verb="get", resource="pods"))))
    await until(lambda: asyncio.sleep(0, bool(bed.cluster.journal.of(verb="patch", resource="deployments"))))
    asking.cancel()
    await asyncio.wait([asking])

    assert bed.ready(NAME) == [busy]


async def test_a_server_that_hangs_as_it_boots_fails_in_time_and_is_replaced_by_the_next_who_comes(
    bed: Bed, pro: Licence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source: a start that had only joined it left it running, and so did the next, until the kubelet's 10 minutes were over."""
    monkeypatch.setattr(kubernetes.BACKEND, "budgets", Budgets(boot_s=0.5))
    await ensure_workspace(pro)
    hung = pods(bed)
    bed.cluster.plan(NAME, Plan(Trouble.NEVER_READY, times=1))
    bed.cluster.crash(NAME)
    bed.cluster.advance(60)
    await bed.heard()
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(pro)
    assert failure.value.cause == Cause.NEVER_READY
    assert pods(bed) == hung
    await ensure_workspace(pro)

    assert len(bed.ready(NAME)) == 1
    assert pods(bed) != hung


async def test_a_server_that_boots_again_is_waited_for_and_not_replaced(bed: Bed, pro: Licence) -> None:
    await ensure_workspace(pro)
    booting = bed.ready(NAME)
    bed.cluster.plan(NAME, Plan(boot_s=30))
    bed.cluster.crash(NAME)
    bed.cluster.advance(20)
    await bed.heard()
    told: list[StageReport] = []

    async def tell(report: StageReport) -> None:
        told.append(report)

    joining = asyncio.create_task(ensure_workspace(pro, on_stage=tell))
    await until(lambda: asyncio.sleep(0, "starting" in {report.stage for report in told}))
    bed.cluster.advance(30)
    await joining

    assert bed.ready(NAME) == booting


async def test_a_server_that_hangs_and_that_nobody_asks_for_is_scaled_to_0(bed: Bed, pro: Licence) -> None:
    """Source: one that was started without a liveness probe is restarted by nobody, and its sidecar stops it never."""
    await ensure_workspace(pro)
    await falls_silent(bed)
    await settle()
    early = await reconcile()
    await has_been_down_for(DOWN_KEPT)
    late = [finding.done for finding in await reconcile()]
    row = await rows.find(NAME)

    assert (early, late) == ([], [Action.GIVE_UP.value])
    assert row is not None
    assert (row.state, row.last_cause) == (State.FAILED, Cause.NEVER_READY)
    assert bed.replicas(NAME) == 0


async def test_a_silence_is_as_long_as_this_process_has_seen_it(bed: Bed, pro: Licence) -> None:
    now = 0.0
    silences = Silences(clock=lambda: now)
    await ensure_workspace(pro)
    known = await cluster()
    speaking = known.look(NAME).pod
    await falls_silent(bed)
    silent = known.look(NAME).pod
    assert speaking is not None
    assert silent is not None

    silences.saw(NAME, silent)
    now = 10.0
    silences.saw(NAME, silent)
    lasted = [silences.lasted_s(silent), silences.lasted_s(speaking)]
    silences.saw(NAME, speaking)
    silences.saw(NAME, silent)
    assert (lasted, silences.lasted_s(silent)) == ([10.0, 0.0], 0.0)


def test_the_kubelet_is_more_patient_than_who_waits_and_both_than_a_moment() -> None:
    """Source: work is not cut for a few probes that are missed, and who comes is served within the time of a start."""
    [deployment] = [tree for tree in render_workspace(licence_of("demo-pro")) if tree["kind"] == "Deployment"]
    [server] = deployment["spec"]["template"]["spec"]["containers"]
    readiness, liveness = server["readinessProbe"], server["livenessProbe"]

    assert readiness["periodSeconds"] * readiness["failureThreshold"] * 10 <= HUNG_S
    assert HUNG_S * 4 <= liveness["periodSeconds"] * liveness["failureThreshold"] <= DOWN_KEPT.total_seconds()


async def sidecar_crashes(bed: Bed) -> None:
    """The pod is unready for its sidecar alone, and leads nowhere; the server goes on."""

    def change(tree: dict[str, Any]) -> None:
        status = tree["status"]
        for each in status["conditions"]:
            each["status"] = "False" if each["type"] in {"Ready", "ContainersReady"} else each["status"]
        [sidecar] = status["initContainerStatuses"]
        waiting = {"reason": "CrashLoopBackOff", "message": "back-off"}
        sidecar.update(ready=False, restartCount=4, state={"waiting": waiting})
        sidecar["lastState"] = {"terminated": {"exitCode": 1, "reason": "Error"}}

    await changed(bed, change)


async def changed(bed: Bed, change: Change) -> None:
    [pod] = bed.cluster.pods_of(NAME)
    bed.cluster.edit("pods", pod["metadata"]["name"], change)
    await bed.heard()


@pytest.mark.usefixtures("hasty")
async def test_a_sidecar_that_crashes_ends_no_server_that_is_at_work_until_no_request_can_be_in_flight(
    bed: Bed, pro: Licence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes.BACKEND, "budgets", Budgets(boot_s=1.0))
    await ensure_workspace(pro)
    at_work = pods(bed)
    await sidecar_crashes(bed)
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(pro, fresh=True)

    assert failure.value.cause == Cause.CRASHED
    assert "lifecycle-sidecar: exit code 1" in failure.value.detail
    assert (pods(bed), bed.replicas(NAME)) == (at_work, 1)
    await settle()
    assert [finding.done for finding in await reconcile()] == [Action.ADOPT.value]
    await settle()
    [finding] = await reconcile()
    assert (finding.found, finding.done) == (
        "its sidecar crashes: nobody reaches it, and it does not stop",
        Action.REPORT.value,
    )
    await has_been_down_for(DOWN_KEPT)
    assert [each.done for each in await reconcile()] == [Action.GIVE_UP.value]
    row = await rows.find(NAME)
    assert row is not None
    assert (row.state, row.last_cause, bed.replicas(NAME)) == (State.FAILED, Cause.CRASHED, 0)
    await ensure_workspace(pro)
    assert len(bed.ready(NAME)) == 1


async def test_a_lost_volume_ends_no_server_that_misses_a_probe(
    bed: Bed, pro: Licence, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ensure_workspace(pro)
    busy = await falls_silent(bed)
    await volume_is_lost(bed)
    await bed.heard()
    asking = asyncio.create_task(ensure_workspace(pro))
    await until(waits_for_a_silent_server)
    bed.deaf.clear()
    bed.cluster.run(lambda: bed.cluster.kubelet.ready(busy, SERVER))
    await asking

    assert bed.ready(NAME) == [busy]


async def test_a_stop_also_ends_what_runs_though_its_last_start_has_failed(
    bed: Bed, pro: Licence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source: a start that joins what hangs fails and leaves it running; the stop of the API and the admin did nothing."""
    monkeypatch.setattr(kubernetes.BACKEND, "budgets", Budgets(boot_s=0.5))
    await ensure_workspace(pro)
    await sidecar_crashes(bed)
    with pytest.raises(WorkspaceFailed):
        await ensure_workspace(pro)
    assert pods(bed)
    await stop_workspace("demo-pro")
    row = await rows.find(NAME)

    assert (bed.replicas(NAME), pods(bed)) == (0, [])
    assert row is not None
    assert row.state == State.STOPPED
