"""What is sent to a cluster: DESIGN, sections 5 and 7. Rendered objects are held against the client's typed models."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.aio.client import (
    V1ConfigMap,
    V1Deployment,
    V1LimitRange,
    V1Namespace,
    V1NetworkPolicy,
    V1PersistentVolumeClaim,
    V1ResourceQuota,
    V1Role,
    V1RoleBinding,
    V1Service,
    V1ServiceAccount,
    V1ValidatingAdmissionPolicy,
    V1ValidatingAdmissionPolicyBinding,
)
from pytest_django.fixtures import Settings

from accounts.tiers import LIMITS, Tier
from provisioning.backends import Spec
from provisioning.backends._kubernetes.judging import OTHER_VOLUMES
from provisioning.backends._kubernetes.manifests import keys_manifest, manifests, namespace_manifests
from provisioning.backends._kubernetes.templates import FOLDER, filled
from provisioning.backends._kubernetes.values import cores, size, values
from provisioning.names import workspace_name
from provisioning.specs import spec_of
from provisioning.tests.gateways import licence_of
from provisioning.tests.test_names import HOSTILE

MODELS: dict[str, Any] = {
    model.__name__.removeprefix("V1"): model
    for model in (
        *(V1ConfigMap, V1Deployment, V1LimitRange, V1Namespace, V1NetworkPolicy, V1PersistentVolumeClaim, V1Role),
        *(V1ResourceQuota, V1RoleBinding, V1Service, V1ServiceAccount, V1ValidatingAdmissionPolicy),
        V1ValidatingAdmissionPolicyBinding,
    )
}
TIERS: list[Tier] = ["free", "pro", "enterprise"]


def spec(user_id: str = "demo-pro", tier: Tier = "pro") -> Spec:
    limits = LIMITS[tier]
    return Spec(
        name=workspace_name(user_id),
        user_id=user_id,
        tier=tier,
        idle_s=limits.idle_s,
        memory=limits.memory,
        cpu=limits.cpu,
        storage=limits.storage,
    )


def pod_of(rendered: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = rendered["spec"]["template"]["spec"]
    return pod


@pytest.mark.parametrize("tier", TIERS)
def test_each_object_of_a_workspace_is_one_that_the_typed_client_knows(tier: Tier) -> None:
    """The models refuse a key that the API has not, which is how a misspelt one would be noticed."""
    for rendered in manifests(spec(tier=tier), owner_uid="7f").all():
        sent = MODELS[rendered["kind"]].model_validate(rendered).model_dump(by_alias=True, exclude_none=True)
        assert sent == rendered


def test_each_object_of_the_namespace_is_one_that_the_typed_client_knows() -> None:
    rendered = [*namespace_manifests(), keys_manifest("PEM")]

    assert rendered[0]["kind"] == "Namespace"
    for each in rendered:
        assert MODELS[each["kind"]].model_validate(each).model_dump(by_alias=True, exclude_none=True) == each


@pytest.mark.parametrize(
    ("tier", "requests", "limits"),
    [
        ("free", {"memory": "256Mi", "cpu": "50m"}, {"memory": "512Mi", "cpu": "500m"}),
        ("pro", {"memory": "1Gi", "cpu": "250m"}, {"memory": "2Gi", "cpu": "2000m"}),
        ("enterprise", {"memory": "4Gi", "cpu": "1000m"}, {"memory": "4Gi", "cpu": "4000m"}),
    ],
)
def test_a_tier_has_its_requests_and_limits(tier: Tier, requests: object, limits: object) -> None:
    rendered = manifests(spec(tier=tier))
    [server] = pod_of(rendered.deployment)["containers"]

    assert server["resources"] == {"requests": requests, "limits": limits}
    assert rendered.volume["spec"]["resources"]["requests"]["storage"] == LIMITS[tier].storage


def test_a_licence_below_its_tiers_request_lowers_the_request() -> None:
    """Source: an API server refuses a request above its limit."""
    licence = licence_of("demo-pro", memory="512Mi", cpu="100m", storage="2Gi", idle_s=60)
    [server] = pod_of(manifests(spec_of(licence)).deployment)["containers"]

    assert server["resources"]["requests"] == {"memory": "512Mi", "cpu": "100m"}
    environment = {each["name"]: each["value"] for each in server["env"]}
    assert environment["WORKSPACE_QUOTA_BYTES"] == str(2 * 2**30)


def test_every_container_keeps_to_the_restricted_standard() -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/, and a read-only root."""
    pod = pod_of(manifests(spec()).deployment)

    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"] + pod["initContainers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"].keys() == {"cpu", "memory"}
    allowed = {"configMap", "downwardAPI", "emptyDir", "projected", "persistentVolumeClaim"}
    assert {kind for volume in pod["volumes"] for kind in volume if kind != "name"} == allowed


def test_only_the_sidecar_has_a_token_and_the_pod_has_no_secret() -> None:
    pod = pod_of(manifests(spec()).deployment)
    mounts = {each["name"]: {mount["name"] for mount in each["volumeMounts"]} for each in pod["containers"]}

    assert pod["automountServiceAccountToken"] is False
    assert mounts == {"mcp-server": {"data", "tmp", "keys"}}
    assert [mount["name"] for mount in pod["initContainers"][0]["volumeMounts"]] == ["token", "pod"]
    assert "secret" not in json.dumps(pod).replace("/var/run/secrets/", "").lower()


def test_what_outlives_what() -> None:
    rendered = manifests(spec(), owner_uid="7f")

    assert "ownerReferences" not in rendered.volume["metadata"]
    assert [owner["uid"] for owner in rendered.service["metadata"]["ownerReferences"]] == ["7f"]
    assert "ownerReferences" not in manifests(spec()).service["metadata"]


@given(user_id=st.one_of(st.text(), st.sampled_from(HOSTILE)))
def test_a_hostile_user_id_changes_one_hashed_name_and_one_value(user_id: str) -> None:
    """Source: a template filled as text lets a newline add `privileged: true`."""
    ours, theirs = manifests(spec("demo-pro")), manifests(spec(user_id))

    assert _changes(ours.all(), theirs.all()) <= {"name", "user", "digest", "template"}


def _changes(ours: Any, theirs: Any) -> set[str]:
    """What kinds of scalars differ; the trees must have one form."""
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        return set().union(*(_changes(ours[key], theirs[key]) for key in ours))
    if isinstance(ours, list):
        assert len(ours) == len(theirs)
        return set().union(*(_changes(*pair) for pair in zip(ours, theirs, strict=True)))
    if ours == theirs:
        return set()
    kinds = {workspace_name("demo-pro"): "name", "demo-pro": "user", manifests(spec()).template: "template"}
    return {kinds.get(ours, "digest" if len(str(theirs)) == 64 and str(theirs).isalnum() else repr(ours))}


@pytest.mark.parametrize(
    ("user_id", "value"),
    [("$(WORKSPACE_TIER)", "$$(WORKSPACE_TIER)"), ("a$$b", "a$$$$b"), ("a\nprivileged: true", "a\nprivileged: true")],
)
def test_a_user_id_is_no_reference_to_another_variable(user_id: str, value: str) -> None:
    """Source: Kubernetes puts variables in for $(NAME), and $$ stands for $."""
    [server] = pod_of(manifests(spec(user_id)).deployment)["containers"]

    assert {"name": "WORKSPACE_USER", "value": value} in server["env"]


def test_the_mark_of_a_template_follows_what_the_pod_is_made_from(settings: Settings) -> None:
    before = manifests(spec()).template
    settings.WORKSPACE_IMAGE = "registry.example.com/workspace@sha256:" + "0" * 64

    assert manifests(spec(), owner_uid="7f").template != before
    assert manifests(spec()).template == manifests(spec(), owner_uid="7f").template


def test_a_table_of_the_operators_own_replaces_the_shipped_one(settings: Settings, tmp_path: Any) -> None:
    table = tmp_path / "values.yaml"
    table.write_text((FOLDER / "values.yaml").read_text().replace("runtime_class: null", "runtime_class: gvisor"))
    settings.WORKSPACE_VALUES = str(table)

    assert pod_of(manifests(spec()).deployment)["runtimeClassName"] == "gvisor"


def table_of(settings: Settings, folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Have a table of the operator's own that differs from the shipped one by a change."""
    table = yaml.safe_load((FOLDER / "values.yaml").read_text())
    change(table)
    file = folder / f"values-{len(list(folder.iterdir()))}.yaml"
    file.write_text(yaml.safe_dump(table))
    settings.WORKSPACE_VALUES = str(file)


PLACED: dict[str, Any] = {
    "priority_class": "workspaces",
    "node_selector": {"dexorder.io/workspaces": "true"},
    "tolerations": [
        {"key": "dexorder.io/workspaces", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "spot", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 30},
    ],
    "evictable": True,
}


def test_a_table_says_on_which_nodes_and_from_which_registry(settings: Settings, tmp_path: Path) -> None:
    def place(table: dict[str, Any]) -> None:
        table["tiers"]["pro"].update(PLACED)
        table["image_pull_secrets"] = ["registry"]

    table_of(settings, tmp_path, place)
    deployment, other = manifests(spec()).deployment, manifests(spec(tier="free")).deployment
    pod, template = pod_of(deployment), deployment["spec"]["template"]

    assert V1Deployment.model_validate(deployment).model_dump(by_alias=True, exclude_none=True) == deployment
    assert pod["imagePullSecrets"] == pod_of(other)["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["priorityClassName"] == "workspaces"
    assert pod["nodeSelector"] == {"dexorder.io/workspaces": "true"}
    assert pod["tolerations"] == [PLACED["tolerations"][0], {"operator": "Equal"} | PLACED["tolerations"][1]]
    assert template["metadata"]["annotations"].keys() == {"dexorder.io/idle-seconds"}
    assert "nodeSelector" not in pod_of(other)


def test_a_table_of_an_earlier_release_is_good(settings: Settings, tmp_path: Path) -> None:
    shipped = manifests(spec()).template

    def forget(table: dict[str, Any]) -> None:
        del table["image_pull_secrets"]
        for tier in table["tiers"].values():
            for key in PLACED:
                del tier[key]

    table_of(settings, tmp_path, forget)

    assert manifests(spec()).template == shipped


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("node_selector", {"zone": True}),
        ("node_selector", {"a b": "x"}),
        ("node_selector", {"zone": "x y"}),
        ("priority_class", "High"),
        ("tolerations", [{"operator": "Exists", "value": "x"}]),
        ("tolerations", [{"value": "x"}]),
        ("tolerations", [{"key": "x", "effect": "NoSchedule", "tolerationSeconds": 3}]),
        ("tolerations", [{"key": "x", "effect": "Never"}]),
        ("tolerations", [{"key": "x", "seconds": 3}]),
        ("evictable", "no"),
    ],
)
def test_what_the_api_server_would_refuse_is_told_before(
    key: str, value: object, settings: Settings, tmp_path: Path
) -> None:
    table_of(settings, tmp_path, lambda table: table["tiers"]["pro"].update({key: value}))

    with pytest.raises(ImproperlyConfigured, match=f"tiers.pro.{key}"):
        values()


def test_a_workspace_at_work_is_not_moved_to_tidy_up_nodes() -> None:
    """Source: Karpenter's consolidation and the cluster autoscaler's scale-down evict what does not say so."""
    annotations = manifests(spec()).deployment["spec"]["template"]["metadata"]["annotations"]

    assert annotations["karpenter.sh/do-not-disrupt"] == "true"
    assert annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"


def test_without_classes_of_its_own_a_workspace_names_none() -> None:
    rendered = manifests(spec())

    assert "runtimeClassName" not in pod_of(rendered.deployment)
    assert "storageClassName" not in rendered.volume["spec"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("memory_request: 256Mi", "memory_request: 256"), "tiers.free.memory_request"),
        (("api_server_cidr", "api_server"), "api_server"),
        (("  free:", "  gold:"), "tiers.gold"),
    ],
)
def test_a_wrong_table_is_told_by_the_place(
    change: tuple[str, str], told: str, settings: Settings, tmp_path: Any
) -> None:
    table = tmp_path / "values.yaml"
    table.write_text((FOLDER / "values.yaml").read_text().replace(*change, 1))
    settings.WORKSPACE_VALUES = str(table)

    with pytest.raises(ImproperlyConfigured, match=told):
        values()


def test_a_template_with_a_name_that_has_no_value_is_an_error() -> None:
    with pytest.raises(KeyError, match="annotations"):
        filled("serviceaccount.yaml", {"name": "x", "namespace": "x", "labels": {}})


def test_quantities_are_compared_by_what_they_mean() -> None:
    assert size("1Gi") > size("512Mi")
    assert cores("2") > cores("500m")


def test_workspaces_reach_the_api_server_at_the_addresses_that_are_named(settings: Settings) -> None:
    settings.WORKSPACE_API_SERVER_CIDR = ["10.0.0.5/32", "10.0.0.6/32"]
    [policy] = [each for each in namespace_manifests() if each["metadata"]["name"] == "workspaces-to-the-world"]
    ways = [rule["to"] for rule in policy["spec"]["egress"] if {"port": 6443, "protocol": "TCP"} in rule["ports"]]

    assert ways == [[{"ipBlock": {"cidr": "10.0.0.5/32"}}, {"ipBlock": {"cidr": "10.0.0.6/32"}}]]


def test_a_volume_of_the_pod_is_the_users_data_or_known_as_another() -> None:
    volumes = {each["name"] for each in manifests(spec()).deployment["spec"]["template"]["spec"]["volumes"]}

    assert volumes == OTHER_VOLUMES | {"data"}
