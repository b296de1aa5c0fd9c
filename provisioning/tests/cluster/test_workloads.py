"""From a Deployment to ready pods, as a caller of the API sees it."""

import pytest
from kubernetes.aio import client

from provisioning.tests.cluster import Cluster, Plan, Trouble
from provisioning.tests.cluster.controllers.control import condition_of
from provisioning.tests.cluster.examples import claim, deployment, with_claim
from provisioning.tests.cluster.kinds import Object

APPLY = "application/apply-patch+yaml"


def reasons(cluster: Cluster, kind: str) -> list[str]:
    return [each["reason"] for each in cluster.objects("events") if each["involvedObject"]["kind"] == kind]


def waiting_reason(pod: Object) -> str:
    return str(pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"])


async def test_an_applied_deployment_becomes_available(cluster: Cluster, kube: client.ApiClient) -> None:
    """Source: the client's own typed answers, which refuse a field that the API doesn't have."""
    cluster.create(claim())
    made = await client.AppsV1Api(kube).patch_namespaced_deployment(
        "web", "workspaces", with_claim(deployment()), field_manager="tests", force=True, _content_type=APPLY
    )
    read = await client.AppsV1Api(kube).read_namespaced_deployment("web", "workspaces")
    pods = await client.CoreV1Api(kube).list_namespaced_pod("workspaces", label_selector="app=web")

    status = read.to_dict(serialize=True)["status"]

    assert made.status is None
    assert (status["availableReplicas"], status["observedGeneration"]) == (1, 1)
    assert [pod["status"]["phase"] for pod in pods.to_dict(serialize=True)["items"]] == ["Running"]
    assert cluster.get("persistentvolumeclaims", "data")["status"]["phase"] == "Bound"


async def test_a_scale_to_0_ends_the_pods_and_a_scale_to_1_starts_one(cluster: Cluster, kube: client.ApiClient) -> None:
    cluster.create(deployment())
    apps = client.AppsV1Api(kube)
    scale = await apps.patch_namespaced_deployment_scale("web", "workspaces", {"spec": {"replicas": 0}})
    ended = cluster.names("pods")
    await apps.patch_namespaced_deployment_scale("web", "workspaces", {"spec": {"replicas": 1}})

    assert scale.to_dict(serialize=True)["metadata"]["resourceVersion"]
    assert ended == []
    assert len(cluster.names("pods")) == 1
    assert cluster.get("deployments", "web")["metadata"]["generation"] == 3


def test_steps_take_the_time_that_the_plan_gives_them(cluster: Cluster) -> None:
    cluster.plan("web", Plan(schedule_s=1, pull_s=10, boot_s=5))
    cluster.create(deployment())
    seen = []
    for seconds in (0, 1, 10, 5, 10, 4, 1):
        cluster.advance(seconds)
        pod = cluster.pods_of("web")[0]
        ready = condition_of(pod, "Ready")
        seen.append((pod["status"]["phase"], bool(ready and ready["status"] == "True")))

    assert seen == [*[("Pending", False)] * 4, ("Running", False), ("Running", False), ("Running", True)]


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (Trouble.IMAGE_PULL, "ErrImagePull"),
        (Trouble.INVALID_IMAGE, "InvalidImageName"),
        (Trouble.CONFIG, "CreateContainerConfigError"),
    ],
)
def test_a_container_that_cannot_start_waits_with_its_reason(cluster: Cluster, trouble: Trouble, reason: str) -> None:
    cluster.plan("web", Plan(trouble))
    cluster.create(deployment())

    assert waiting_reason(cluster.pods_of("web")[0]) == reason
    assert cluster.get("deployments", "web")["status"]["unavailableReplicas"] == 1


def test_a_failed_pull_is_backed_off_and_goes_well_once_the_image_is_there(cluster: Cluster) -> None:
    """Source: https://kubernetes.io/docs/concepts/containers/images/#imagepullbackoff"""
    cluster.plan("web", Plan(Trouble.IMAGE_PULL))
    cluster.create(deployment())
    cluster.advance(1)
    backed_off = waiting_reason(cluster.pods_of("web")[0])
    cluster.plan("web", Plan())
    cluster.advance(10)

    assert backed_off == "ImagePullBackOff"
    assert cluster.get("deployments", "web")["status"]["availableReplicas"] == 1


@pytest.mark.parametrize(
    ("plan", "code", "reason"),
    [(Plan(Trouble.CRASH_LOOP, exit_code=3), 3, "Error"), (Plan(Trouble.OOM_KILLED), 137, "OOMKilled")],
)
def test_a_container_that_ends_loops_with_its_exit_code(cluster: Cluster, plan: Plan, code: int, reason: str) -> None:
    cluster.plan("web", plan)
    cluster.create(deployment())
    cluster.advance(1)
    status = cluster.pods_of("web")[0]["status"]["containerStatuses"][0]

    assert status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert status["lastState"]["terminated"]["exitCode"] == code
    assert status["lastState"]["terminated"]["reason"] == reason
    assert status["restartCount"] == 1


def test_an_unschedulable_pod_says_why_until_there_is_room(cluster: Cluster) -> None:
    cluster.plan("web", Plan(Trouble.UNSCHEDULABLE, message="1 Insufficient cpu"))
    cluster.create(deployment())
    scheduled = condition_of(cluster.pods_of("web")[0], "PodScheduled")
    cluster.plan("web", Plan())
    cluster.advance(10)

    assert scheduled
    assert scheduled["reason"] == "Unschedulable"
    assert "1 Insufficient cpu" in scheduled["message"]
    assert cluster.get("deployments", "web")["status"]["availableReplicas"] == 1


def test_a_pod_without_its_claim_waits_for_it(cluster: Cluster) -> None:
    cluster.create(with_claim(deployment()))
    scheduled = condition_of(cluster.pods_of("web")[0], "PodScheduled")
    cluster.create(claim())
    cluster.advance(10)

    assert scheduled
    assert 'persistentvolumeclaim "data" not found' in scheduled["message"]
    assert cluster.get("deployments", "web")["status"]["availableReplicas"] == 1


def test_a_volume_that_is_elsewhere_is_told_by_an_event(cluster: Cluster) -> None:
    cluster.plan("web", Plan(Trouble.MULTI_ATTACH))
    cluster.create(deployment())

    assert "FailedAttachVolume" in reasons(cluster, "Pod")
    assert waiting_reason(cluster.pods_of("web")[0]) == "PodInitializing"


def test_a_server_that_is_never_ready_is_unhealthy(cluster: Cluster) -> None:
    cluster.plan("web", Plan(Trouble.NEVER_READY))
    cluster.create(deployment())

    assert "Unhealthy" in reasons(cluster, "Pod")
    assert cluster.pods_of("web")[0]["status"]["phase"] == "Running"
    assert "availableReplicas" not in cluster.get("deployments", "web")["status"]


def test_an_evicted_pod_stays_as_failed_beside_its_successor(cluster: Cluster) -> None:
    cluster.create(deployment())
    cluster.evict("web", "The node was low on resource: memory.")
    pods = cluster.pods_of("web")

    assert sorted(pod["status"]["phase"] for pod in pods) == ["Failed", "Running"]
    assert [pod["status"]["reason"] for pod in pods if pod["status"]["phase"] == "Failed"] == ["Evicted"]


def test_pods_over_the_quota_are_a_failure_of_the_replica_set(cluster: Cluster) -> None:
    """Source: https://kubernetes.io/docs/concepts/policy/resource-quotas/"""
    quota = {"metadata": {"name": "pods"}, "spec": {"hard": {"pods": "1"}}}
    cluster.create({"apiVersion": "v1", "kind": "ResourceQuota", **quota})
    cluster.create(deployment("one"))
    cluster.create(deployment("two"))
    failure = condition_of(cluster.get("deployments", "two"), "ReplicaFailure")
    cluster.delete("deployments", "one")
    cluster.advance(60)

    assert failure
    assert "exceeded quota: pods, requested: pods=1, used: pods=1, limited: pods=1" in failure["message"]
    assert not condition_of(cluster.get("deployments", "two"), "ReplicaFailure")
    assert cluster.get("deployments", "two")["status"]["availableReplicas"] == 1


def test_recreate_ends_the_old_pod_before_it_starts_the_new_one(cluster: Cluster) -> None:
    cluster.plan("web", Plan(stop_s=5))
    cluster.create(deployment())

    def change(tree: Object) -> None:
        tree["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example/web:2"

    cluster.edit("deployments", "web", change)
    while_ending = [pod["spec"]["containers"][0]["image"] for pod in cluster.pods_of("web")]
    cluster.advance(5)

    assert while_ending == ["registry.example/web:1"]
    assert [pod["spec"]["containers"][0]["image"] for pod in cluster.pods_of("web")] == ["registry.example/web:2"]
