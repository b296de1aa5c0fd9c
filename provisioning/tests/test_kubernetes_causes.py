"""Why a start fails, as the cluster shows it: each cause is named to the user in words, and to the operator with its source."""

import asyncio
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import pytest
from pytest_django.fixtures import Settings

from accounts.licences import Licence
from provisioning import rows
from provisioning.backends._kubernetes.cluster import cluster
from provisioning.backends._kubernetes.judging import judge
from provisioning.backends._kubernetes.starting import Budgets
from provisioning.backends._kubernetes.views import SERVER
from provisioning.backends.kubernetes import BACKEND
from provisioning.errors import ADVICE, MESSAGES, Cause, WorkspaceFailed, meanwhile
from provisioning.models import Workspace
from provisioning.names import workspace_name
from provisioning.stages import StageReport
from provisioning.tests.bed import Bed
from provisioning.tests.cluster import Fault, Gate, Plan, Refused, Trouble
from provisioning.tests.drift_states import is_stranded
from provisioning.tests.gateways import licence_of, until
from provisioning.workspaces import delete_workspace, ensure_workspace, stop_workspace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("lease")]
NAME = workspace_name("demo-pro")

# As Kubernetes 1.33 and before words it, its plug-in for zones, and as later releases word it.
AFFINITY = "node(s) had volume node affinity conflict"
ZONE = "node(s) had no available volume zone"
NEWER = "node(s) didn't match PersistentVolume's node affinity"
# As RBAC and as an admission webhook begin.
FORBIDDEN = f'deployments.apps "{NAME}" is forbidden: User "x"'
DENIED = 'admission webhook "validate.policy.example.com" denied the request:'

LASTING = [
    (Plan(Trouble.IMAGE_PULL), Cause.IMAGE_PULL, "ImagePullBackOff"),
    (Plan(Trouble.INVALID_IMAGE), Cause.IMAGE_NAME, "InvalidImageName"),
    (Plan(Trouble.CONFIG), Cause.CONTAINER, "CreateContainerConfigError"),
    (Plan(Trouble.CRASH_LOOP, exit_code=42), Cause.CRASHED, "exit code 42"),
    (Plan(Trouble.OOM_KILLED), Cause.OUT_OF_MEMORY, "OOMKilled"),
]
PASSING = [
    (Plan(Trouble.UNSCHEDULABLE), Cause.NO_ROOM, "nodes are available"),
    (Plan(Trouble.CLAIM_PENDING), Cause.STORAGE_PENDING, ""),
    (
        Plan(Trouble.UNSCHEDULABLE, message=f'persistentvolumeclaim "{NAME}" not found'),
        Cause.STORAGE_PENDING,
        "not found",
    ),
    (Plan(Trouble.UNSCHEDULABLE, message=f"1 {AFFINITY}"), Cause.STORAGE_ELSEWHERE, AFFINITY),
    (Plan(Trouble.UNSCHEDULABLE, message=f"1 {ZONE}"), Cause.STORAGE_ELSEWHERE, ZONE),
    (Plan(Trouble.UNSCHEDULABLE, message=f"1 {NEWER}"), Cause.STORAGE_ELSEWHERE, NEWER),
    (Plan(Trouble.MULTI_ATTACH), Cause.STORAGE_BUSY, "Multi-Attach"),
]
# Nothing is wrong, and time is up.
SLOW = [
    (Plan(schedule_s=3600), Budgets(place_s=0.5), Cause.NOT_PLACED),
    (Plan(pull_s=3600), Budgets(pull_s=0.5), Cause.SLOW_PULL),
    (Plan(Trouble.NEVER_READY), Budgets(boot_s=0.5), Cause.NEVER_READY),
]


class Told:
    """The sentences that the user was told."""

    def __init__(self) -> None:
        self.reports: list[StageReport] = []

    async def __call__(self, report: StageReport) -> None:
        self.reports.append(report)

    @property
    def sentences(self) -> set[str]:
        return {report.detail for report in self.reports}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Budgets that are spent at once, where a test waits for one to be."""
    monkeypatch.setattr(BACKEND, "budgets", Budgets(place_s=0.5, pull_s=0.5, boot_s=0.5))


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands for a moment lasts."""
    monkeypatch.setattr("provisioning.backends._kubernetes.judging.STANDS_S", 0.2)


async def failed(bed: Bed, licence: Licence, *, after_s: float = 120.0) -> WorkspaceFailed:
    """What a start fails with, while the cluster's time passes."""
    starting = asyncio.create_task(ensure_workspace(licence))
    await until(lambda: _scaled_up(bed))
    for _ in range(int(after_s)):
        if starting.done():
            break
        bed.cluster.advance(1)
        await asyncio.sleep(0.02)
    with pytest.raises(WorkspaceFailed) as failure:
        await starting
    return failure.value


async def _scaled_up(bed: Bed) -> bool:
    return NAME in bed.cluster.names("deployments")


async def noted() -> tuple[str, str]:
    found = await Workspace.objects.aget(name=NAME)
    return found.last_cause, found.last_detail


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(("plan", "cause", "words"), LASTING, ids=[each[1] for each in LASTING])
async def test_what_waiting_cannot_help_fails_soon_and_leaves_nothing_running(
    plan: Plan, cause: Cause, words: str, bed: Bed, pro: Licence
) -> None:
    bed.cluster.plan(NAME, plan)
    failure = await failed(bed, pro)

    assert (failure.cause, failure.message) == (cause, MESSAGES[cause])
    assert await noted() == (cause, failure.detail)
    assert failure.detail.startswith(ADVICE[cause])
    assert words in failure.detail
    assert bed.replicas(NAME) == 0
    assert bed.cluster.names("persistentvolumeclaims") == [NAME]


@pytest.mark.parametrize(("plan", "budgets", "cause"), SLOW, ids=[each[2] for each in SLOW])
async def test_each_stage_has_a_budget_and_a_cause_of_its_own(
    plan: Plan, budgets: Budgets, cause: Cause, bed: Bed, pro: Licence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BACKEND, "budgets", budgets)
    bed.cluster.plan(NAME, plan)
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(pro)

    assert failure.value.cause == cause
    assert "within 0.5 s" in failure.value.detail
    assert bed.replicas(NAME) == 0


async def test_a_line_that_does_not_move_is_told(bed: Bed, pro: Licence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioning.backends.kubernetes.STARTS_AT_ONCE", 1)
    monkeypatch.setattr(BACKEND, "_lines", WeakKeyDictionary())
    monkeypatch.setattr(BACKEND, "budgets", Budgets(queue_s=0.3))
    gate = Gate()
    bed.cluster.faults.add(Fault(verb="patch", resource="serviceaccounts", gate=gate))
    first = asyncio.create_task(ensure_workspace(licence_of("demo-free")))
    await asyncio.to_thread(gate.reached.wait, 20)
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(pro)
    gate.open()
    await first

    assert failure.value.cause == Cause.QUEUE
    assert "no place within 0.3 s" in failure.value.detail
    await ensure_workspace(pro)


async def test_a_cluster_that_was_not_prepared_is_told_with_what_to_do(bed: Bed, pro: Licence) -> None:
    """Source: an API server answers so to what is written into a namespace that is not there."""
    missing = Refused(404, "NotFound", 'namespaces "dexorder-workspaces" not found')
    bed.cluster.faults.add(Fault(verb="patch", resource="serviceaccounts", refusal=missing))
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(pro)

    assert failure.value.cause == Cause.NO_NAMESPACE
    assert failure.value.detail.startswith(ADVICE[Cause.NO_NAMESPACE])


async def test_a_setting_that_is_wrong_is_a_refusal_in_words_also_for_what_runs(
    bed: Bed, pro: Licence, settings: Settings
) -> None:
    await ensure_workspace(pro)
    await BACKEND.close()
    settings.KUBECONFIG = "/nowhere"
    for act in (ensure_workspace(pro), stop_workspace("demo-pro"), delete_workspace("demo-pro", with_data=False)):
        with pytest.raises(WorkspaceFailed) as failure:
            await act
        assert failure.value.cause == Cause.NOT_INSTALLED
        assert "/nowhere" not in failure.value.message


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("plan", "cause", "words"), PASSING, ids=[each[1] for each in PASSING])
async def test_what_may_pass_is_told_while_it_lasts_and_named_when_time_is_up(
    plan: Plan, cause: Cause, words: str, bed: Bed, pro: Licence
) -> None:
    bed.cluster.plan(NAME, plan)
    told = Told()
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(pro, on_stage=told)

    assert failure.value.cause == cause
    assert words in failure.value.detail
    assert meanwhile(cause) in told.sentences
    assert bed.replicas(NAME) == 0


async def test_what_passes_hinders_no_start(bed: Bed, pro: Licence) -> None:
    bed.cluster.plan(NAME, Plan(Trouble.UNSCHEDULABLE))
    told = Told()
    starting = asyncio.create_task(ensure_workspace(pro, on_stage=told))

    async def named() -> bool:
        return meanwhile(Cause.NO_ROOM) in told.sentences

    await until(named)
    bed.cluster.plans.clear(NAME)
    bed.cluster.advance(600)
    await starting


@pytest.mark.usefixtures("impatient")
async def test_a_ready_pod_that_nobody_can_reach_is_told(bed: Bed, pro: Licence) -> None:
    bed.deaf = _Everyone()
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(pro)

    assert failure.value.cause == Cause.NEVER_READY
    assert "its Service does not lead to it" in failure.value.detail


class _Everyone(set[str]):
    def __contains__(self, _: object) -> bool:
        return True


async def test_an_evicted_pod_is_followed_by_another(bed: Bed, pro: Licence) -> None:
    bed.cluster.plan(NAME, Plan(boot_s=10))
    told = Told()
    starting = asyncio.create_task(ensure_workspace(pro, on_stage=told))
    await until(lambda: _scaled_up(bed))
    bed.cluster.evict(NAME, "The node was low on resource: memory.")
    bed.cluster.advance(60)
    await starting


async def test_a_used_up_quota_is_told_at_once(bed: Bed, pro: Licence) -> None:
    bed.cluster.edit("resourcequotas", "dexorder-workspaces", lambda tree: tree["spec"]["hard"].update(pods="0"))
    failure = await failed(bed, pro)

    assert failure.cause == Cause.QUOTA
    assert "exceeded quota: dexorder-workspaces" in failure.detail
    assert bed.replicas(NAME) == 0


async def test_used_up_storage_is_told_for_what_it_is(bed: Bed, pro: Licence) -> None:
    """Source: that so many run, and that it passes in minutes, was untrue of it."""
    hard = {"requests.storage": "1Gi"}
    bed.cluster.edit("resourcequotas", "dexorder-workspaces", lambda tree: tree["spec"]["hard"].update(hard))
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(pro)

    assert failure.value.cause == Cause.STORAGE_QUOTA
    assert "exceeded quota: dexorder-workspaces" in failure.value.detail
    assert bed.cluster.names("deployments") == []


async def test_a_node_that_is_not_heard_of_is_named_and_its_pod_left_until_it_is(
    bed: Bed, pro: Licence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source: the user read that the workspace was not ready in time, and the operator to look at its boot."""
    monkeypatch.setattr(BACKEND, "budgets", Budgets(boot_s=0.5))
    await ensure_workspace(pro)
    [uid] = bed.ready(NAME)
    [pod] = bed.cluster.pods_of(NAME)
    bed.cluster.edit("pods", pod["metadata"]["name"], is_stranded)
    await bed.heard()
    told = Told()
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(pro, on_stage=told)
    assert failure.value.cause == Cause.NODE_AWAY
    assert meanwhile(Cause.NODE_AWAY) in told.sentences

    bed.cluster.run(lambda: bed.cluster.kubelet.ready(uid, SERVER))
    await ensure_workspace(pro)
    assert bed.ready(NAME) == [uid]


async def test_an_admission_rule_that_denies_the_pod_is_told_at_once(bed: Bed, pro: Licence) -> None:
    denied = Refused(403, "Forbidden", 'admission webhook "policy.example.com" denied the request: no')
    bed.cluster.refuse_pods(NAME, denied)
    failure = await failed(bed, pro)

    assert failure.cause == Cause.REFUSED
    assert "policy.example.com" in failure.detail


@pytest.mark.parametrize(
    ("refusal", "cause"),
    [
        (Refused(403, "Forbidden", f"{FORBIDDEN} cannot patch resource"), Cause.FORBIDDEN),
        (Refused(403, "Forbidden", f"{DENIED} containers cannot use the latest tag"), Cause.REFUSED),
        (Refused(403, "Forbidden", f"{DENIED} {FORBIDDEN} cannot be here"), Cause.REFUSED),
        (Refused(401, "Unauthorized", "Unauthorized"), Cause.UNKNOWN_TO_CLUSTER),
        (Refused(403, "Forbidden", 'admission webhook "policy.example.com" denied the request'), Cause.REFUSED),
        (Refused(403, "Forbidden", "exceeded quota: dexorder-workspaces"), Cause.QUOTA),
        (Refused(422, "Invalid", "spec.replicas: Invalid value"), Cause.REFUSED),
    ],
)
async def test_what_the_api_server_refuses_is_told(refusal: Refused, cause: Cause, bed: Bed, pro: Licence) -> None:
    bed.cluster.faults.add(Fault(verb="patch", resource="deployments", refusal=refusal))
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(pro)

    assert failure.value.cause == cause
    assert refusal.message in failure.value.detail
    assert refusal.message not in failure.value.message


async def test_an_overloaded_api_server_is_asked_again(bed: Bed, pro: Licence) -> None:
    refusals = [Refused(429, "TooManyRequests", "slow down", retry_after_s=1), Refused(500, "InternalError", "oops")]
    for refusal in refusals:
        bed.cluster.faults.add(Fault(verb="patch", resource="deployments", refusal=refusal))
    bed.cluster.faults.add(Fault(verb="patch", resource="services", drop=True))
    bed.cluster.faults.add(Fault(verb="patch", resource="persistentvolumeclaims", drop_after=True))
    await ensure_workspace(pro)

    assert len(bed.cluster.journal.of(verb="patch", resource="deployments")) == 3


async def test_an_api_server_that_is_away_is_told(bed: Bed, pro: Licence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioning.backends._kubernetes.transport.PATIENCE_S", 0.2)
    bed.cluster.faults.add(Fault(drop=True, times=None))
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(pro)

    assert failure.value.cause == Cause.CLUSTER_AWAY
    bed.cluster.faults.clear()
    await ensure_workspace(pro)


async def test_an_object_of_that_name_that_is_another_users_is_left_alone(bed: Bed, pro: Licence) -> None:
    """Source: 65 bits of a hash name a workspace; a stranger's object may have any name."""
    await ensure_workspace(pro)
    before = bed.cluster.get("deployments", NAME)["spec"]

    def take(tree: dict[str, Any]) -> None:
        tree["metadata"]["annotations"]["dexorder.io/user-sha256"] = "0" * 64
        tree["spec"]["replicas"] = 0

    bed.cluster.edit("deployments", NAME, take)
    await bed.heard()
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(pro)

    assert failure.value.cause == Cause.NAME_TAKEN
    assert bed.cluster.get("deployments", NAME)["spec"] == before | {"replicas": 0}


async def test_a_strangers_object_that_our_watch_does_not_show_is_left_alone(bed: Bed, pro: Licence) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": NAME, "annotations": {"dexorder.io/user-sha256": "a stranger"}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "3Gi"}}},
    }
    bed.cluster.create(claim)
    with pytest.raises(WorkspaceFailed) as failure:
        await ensure_workspace(pro)

    assert failure.value.cause == Cause.NAME_TAKEN
    assert bed.cluster.names("deployments") == []


async def test_every_cause_has_a_sentence_for_the_user_and_the_clusters_have_one_for_the_operator() -> None:
    assert set(MESSAGES) == set(Cause)
    assert set(ADVICE) == set(list(Cause)[list(Cause).index(Cause.QUEUE) :])


async def test_a_pod_that_ended_when_it_was_told_to_is_no_trouble_of_the_next_start(bed: Bed, pro: Licence) -> None:
    """Source: a kubelet gives a deleted pod its last phase before it goes, Failed where a container had to be killed."""
    await ensure_workspace(pro)
    sight = (await cluster()).look(NAME)
    assert sight.pod is not None
    ended = replace(sight, pods=(replace(sight.pod, phase="Failed", ready=False, deleting=True),))

    assert judge(ended).trouble is None


async def test_a_row_remembers_nothing_of_a_pod_that_failed(bed: Bed, pro: Licence) -> None:
    bed.cluster.plan(NAME, Plan(Trouble.INVALID_IMAGE))
    await failed(bed, pro)
    row = await rows.find(NAME)

    assert row is not None
    assert (row.state, row.facts) == ("failed", {})
