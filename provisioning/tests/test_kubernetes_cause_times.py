"""How soon a cause is named: the cluster's time stands still from when the API shows it until the user has read it.

Source: each cause of the table is named within 2 s of the API showing it; here within none, since nothing is polled.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from accounts.licences import Licence
from provisioning.errors import Cause, WorkspaceFailed, meanwhile
from provisioning.names import workspace_name
from provisioning.stages import StageReport
from provisioning.tests.bed import VOLUMES, Bed
from provisioning.tests.cluster import Plan, Refused, Trouble
from provisioning.tests.cluster.kinds import Object
from provisioning.tests.drift_states import is_stranded
from provisioning.tests.gateways import until
from provisioning.workspaces import ensure_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("lease")]
NAME = workspace_name("demo-pro")
# The cluster's seconds in which each of these troubles has shown itself.
SHOWN_WITHIN_S = 120
Happens = Callable[[Bed], None]
Shown = Callable[[Bed], bool]


@dataclass(frozen=True)
class Case:
    """A cause, how it comes about, and where the API shows it."""

    cause: Cause
    happens: Happens
    shown: Shown
    # What comes about only once there is a pod.
    later: Happens = lambda _bed: None


def planned(trouble: Trouble, message: str = "") -> Happens:
    return lambda bed: bed.cluster.plan(NAME, Plan(trouble, message=message))


def booting(bed: Bed) -> None:
    bed.cluster.plan(NAME, Plan(boot_s=10**6))


def statuses(bed: Bed) -> list[Object]:
    """What the kubelet says of the containers of the workspace's pods."""
    fields = ("initContainerStatuses", "containerStatuses")
    return [each for pod in bed.cluster.pods_of(NAME) for key in fields for each in pod.get("status", {}).get(key, [])]


def waits(reason: str) -> Shown:
    return lambda bed: any(each["state"].get("waiting", {}).get("reason") == reason for each in statuses(bed))


def ended(reason: str) -> Shown:
    def shown(bed: Bed) -> bool:
        states = [state for each in statuses(bed) for state in (each["state"], each.get("lastState", {}))]
        return any(state.get("terminated", {}).get("reason") == reason for state in states)

    return shown


def warned(reason: str) -> Shown:
    return lambda bed: any(event["reason"] == reason for event in bed.cluster.objects("events"))


def unschedulable(words: str) -> Shown:
    def shown(bed: Bed) -> bool:
        conditions = [each for pod in bed.cluster.pods_of(NAME) for each in pod.get("status", {}).get("conditions", [])]
        return any(words in each.get("message", "") for each in conditions)

    return shown


def no_pods_for(reason: str) -> Shown:
    def shown(bed: Bed) -> bool:
        if NAME not in bed.cluster.names("deployments"):
            return False
        conditions = bed.cluster.get("deployments", NAME).get("status", {}).get("conditions", [])
        return any(each["type"] == "ReplicaFailure" and reason in each["message"] for each in conditions)

    return shown


def quota_used_up(bed: Bed) -> None:
    bed.cluster.edit("resourcequotas", "dexorder-workspaces", lambda tree: tree["spec"]["hard"].update(pods="0"))


def pods_denied(bed: Bed) -> None:
    bed.cluster.refuse_pods(NAME, Refused(403, "Forbidden", 'admission webhook "policy" denied the request: no'))


def volume_lost(bed: Bed) -> None:
    bed.cluster.edit(VOLUMES, NAME, lambda tree: tree["status"].update(phase="Lost"))


def is_lost(bed: Bed) -> bool:
    return NAME in bed.cluster.names(VOLUMES) and bed.cluster.get(VOLUMES, NAME)["status"].get("phase") == "Lost"


def evict(bed: Bed) -> None:
    bed.cluster.evict(NAME, "The node was low on resource: memory.")


def is_evicted(bed: Bed) -> bool:
    return any(pod.get("status", {}).get("reason") == "Evicted" for pod in bed.cluster.pods_of(NAME))


def put_out(reason: str) -> Happens:
    """The node does not keep the pod, or does not take it: it has failed as a whole."""

    def later(bed: Bed) -> None:
        for pod in bed.cluster.pods_of(NAME):
            bed.cluster.edit("pods", pod["metadata"]["name"], fail)

    def fail(tree: Object) -> None:
        tree["status"].update(phase="Failed", reason=reason, message="by its node")
        tree["status"].pop("containerStatuses", None)

    return later


def is_put_out(bed: Bed) -> bool:
    return any(pod.get("status", {}).get("phase") == "Failed" for pod in bed.cluster.pods_of(NAME))


def node_goes(bed: Bed) -> None:
    for pod in bed.cluster.pods_of(NAME):
        bed.cluster.edit("pods", pod["metadata"]["name"], is_stranded)


def node_is_gone(bed: Bed) -> bool:
    conditions = [each for pod in bed.cluster.pods_of(NAME) for each in pod.get("status", {}).get("conditions", [])]
    return any((each["type"], each["status"]) == ("ContainersReady", "True") for each in conditions)


AFFINITY = "1 node(s) had volume node affinity conflict"
NO_KEYS = 'MountVolume.SetUp failed for volume "keys" : configmap "dexorder-workspace-keys" not found'
UNMOUNTED = (
    "Unable to attach or mount volumes: unmounted volumes=[{}], unattached volumes=[], failed to process volumes=[]: "
    "timed out waiting for the condition"
)
CASES = [
    Case(Cause.NO_ROOM, planned(Trouble.UNSCHEDULABLE), unschedulable("nodes are available")),
    Case(Cause.STORAGE_ELSEWHERE, planned(Trouble.UNSCHEDULABLE, AFFINITY), unschedulable(AFFINITY)),
    Case(Cause.STORAGE_PENDING, planned(Trouble.CLAIM_PENDING), warned("ProvisioningFailed")),
    Case(Cause.STORAGE_BUSY, planned(Trouble.MULTI_ATTACH), warned("FailedAttachVolume")),
    Case(Cause.STORAGE_FAILED, planned(Trouble.MULTI_ATTACH, "timed out"), warned("FailedAttachVolume")),
    Case(Cause.STORAGE_FAILED, planned(Trouble.MOUNT), warned("FailedMount")),
    Case(Cause.STORAGE_FAILED, planned(Trouble.MOUNT, UNMOUNTED.format("data")), warned("FailedMount")),
    Case(Cause.CONTAINER, planned(Trouble.MOUNT, NO_KEYS), warned("FailedMount")),
    Case(Cause.CONTAINER, planned(Trouble.MOUNT, UNMOUNTED.format("keys")), warned("FailedMount")),
    Case(Cause.CONTAINER, planned(Trouble.SANDBOX), warned("FailedCreatePodSandBox")),
    Case(Cause.STORAGE_LOST, booting, is_lost, later=volume_lost),
    Case(Cause.IMAGE_PULL, planned(Trouble.IMAGE_PULL), waits("ErrImagePull")),
    Case(Cause.IMAGE_NAME, planned(Trouble.INVALID_IMAGE), waits("InvalidImageName")),
    Case(Cause.CONTAINER, planned(Trouble.CONFIG), waits("CreateContainerConfigError")),
    Case(Cause.CRASHED, planned(Trouble.CRASH_LOOP), ended("Error")),
    Case(Cause.OUT_OF_MEMORY, planned(Trouble.OOM_KILLED), ended("OOMKilled")),
    Case(Cause.EVICTED, booting, is_evicted, later=evict),
    Case(Cause.EVICTED, booting, is_put_out, later=put_out("Preempting")),
    Case(Cause.NO_ROOM, booting, is_put_out, later=put_out("OutOfmemory")),
    Case(Cause.NODE_AWAY, booting, is_put_out, later=put_out("Terminated")),
    Case(Cause.CONTAINER, booting, is_put_out, later=put_out("UnexpectedAdmissionError")),
    Case(Cause.NODE_AWAY, booting, node_is_gone, later=node_goes),
    Case(Cause.QUOTA, quota_used_up, no_pods_for("exceeded quota")),
    Case(Cause.REFUSED, pods_denied, no_pods_for("policy")),
]


@pytest.mark.parametrize("case", CASES, ids=[case.cause for case in CASES])
async def test_a_cause_is_named_as_soon_as_the_api_shows_it(case: Case, bed: Bed, pro: Licence) -> None:
    told: list[StageReport] = []

    async def tell(report: StageReport) -> None:
        told.append(report)

    async def has_begun() -> bool:
        return NAME in bed.cluster.names("services") and "scheduling" in {report.stage for report in told}

    async def named() -> bool:
        failed = starting.done() and isinstance(starting.exception(), WorkspaceFailed)
        return failed or meanwhile(case.cause) in {report.detail for report in told}

    async def seen() -> bool:
        # What was named, and perhaps tidied up, was shown before.
        return case.shown(bed) or await named()

    case.happens(bed)
    starting = asyncio.create_task(ensure_workspace(pro, on_stage=tell))
    await until(has_begun)
    case.later(bed)
    for _ in range(SHOWN_WITHIN_S):
        if await seen():
            break
        bed.cluster.advance(1)
    await until(seen)
    shown_at = bed.cluster.clock.now()
    await until(named)

    assert bed.cluster.clock.now() == shown_at
    if starting.done():
        failure = starting.exception()
        assert isinstance(failure, WorkspaceFailed)
        assert failure.cause == case.cause
    starting.cancel()
    await asyncio.wait([starting])


def test_every_cause_that_a_pod_or_a_volume_shows_is_tried() -> None:
    """The others are refusals of calls, also by the server, or stages whose time is up: see test_kubernetes_causes."""
    calls = {Cause.FORBIDDEN, Cause.NAME_TAKEN, Cause.CLUSTER_AWAY, Cause.NO_NAMESPACE, Cause.DENIED}
    calls |= {Cause.UNKNOWN_TO_CLUSTER, Cause.STORAGE_QUOTA}
    late = {Cause.QUEUE, Cause.NOT_PLACED, Cause.SLOW_PULL}
    shown = set(list(Cause)[list(Cause).index(Cause.QUEUE) :]) - calls - late

    assert {case.cause for case in CASES} == shown
