"""The gateway's own manifests hold together, and run as the pods of a locked-down namespace.

Source: kubernetes.io/docs, Pod Security Standards, "restricted"; DESIGN.md, Settings and commands.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.env import ROOT

DEPLOY = ROOT / "deploy"
FOLDERS = sorted(path.parent for path in DEPLOY.rglob("kustomization.yaml"))
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
Object = dict[str, Any]


def documents(path: Path) -> list[Object]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


def objects(kind: str) -> Iterator[Object]:
    """Of every file but the overlays' patches, which are parts of objects."""
    for folder in FOLDERS:
        for name in yaml.safe_load((folder / "kustomization.yaml").read_text()).get("resources", ()):
            if name.endswith(".yaml"):
                yield from (each for each in documents(folder / name) if each["kind"] == kind)


def pods() -> dict[str, Object]:
    owners = [*objects("Deployment"), *objects("Job")]
    return {each["metadata"]["name"]: each["spec"]["template"] for each in owners}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(DEPLOY)))
def test_a_kustomization_names_every_file_beside_it_and_no_other(folder: Path) -> None:
    named = yaml.safe_load((folder / "kustomization.yaml").read_text())
    entries = [*named.get("resources", ()), *(patch["path"] for patch in named.get("patches", ()))]

    assert all((folder / entry).exists() for entry in entries)
    files = {entry for entry in entries if entry.endswith(".yaml")}
    assert files == {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}


@pytest.mark.parametrize(
    "patch", sorted(DEPLOY.glob("overlays/*/[wn]*.yaml")), ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_a_patch_is_of_something_that_the_base_has(patch: Path) -> None:
    (part,) = documents(patch)

    (whole,) = [each for each in objects(part["kind"]) if each["metadata"]["name"] == part["metadata"]["name"]]
    names = {container["name"] for container in whole["spec"]["template"]["spec"]["containers"]}
    patched = part.get("spec", {}).get("template", {}).get("spec", {}).get("containers", ())
    assert {container["name"] for container in patched} <= names


@pytest.mark.parametrize("name", sorted(pods()))
def test_a_pod_runs_as_nobody_on_a_root_that_it_cannot_write(name: str) -> None:
    spec = pods()[name]["spec"]

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    containers = [*spec["containers"], *spec.get("initContainers", ())]
    for container in containers:
        assert container["securityContext"] == RESTRICTED
        assert container["image"] == "dexorder-gateway"
        assert "memory" in container["resources"]["limits"]
    assert all("emptyDir" in volume for volume in spec["volumes"])


def test_the_images_wait_on_every_node_in_a_pod_that_can_do_nothing() -> None:
    (daemon,) = objects("DaemonSet")
    spec = daemon["spec"]["template"]["spec"]
    settings = next(objects("ConfigMap"))["data"]

    images = {
        each["name"]: each for each in yaml.safe_load((DEPLOY / "prepull/kustomization.yaml").read_text())["images"]
    }
    fetched = {each["image"]: f"{each['image']}:{images[each['image']]['newTag']}" for each in spec["containers"]}
    assert list(fetched.values()) == [settings["WORKSPACE_IMAGE"], settings["SIDECAR_IMAGE"]]
    assert daemon["spec"]["selector"]["matchLabels"] == daemon["spec"]["template"]["metadata"]["labels"]
    assert (spec["automountServiceAccountToken"], spec["securityContext"]["runAsNonRoot"]) == (False, True)
    assert [each["securityContext"] for each in spec["containers"]] == [RESTRICTED] * 2
    # Nothing of the gateway's secrets or settings, and no policy lets it out.
    assert not [each for each in spec["containers"] if {"env", "envFrom", "volumeMounts"} & set(each)]
    policies = [each["spec"]["podSelector"].get("matchLabels", {}) for each in objects("NetworkPolicy")]
    assert [each for each in policies if each.items() <= spec_labels(daemon).items()] == [{}]


def spec_labels(owner: Object) -> dict[str, str]:
    labels: dict[str, str] = owner["spec"]["template"]["metadata"]["labels"]
    return labels


@pytest.mark.parametrize("name", sorted(pods()))
def test_a_pod_has_rights_only_where_it_speaks_to_the_api_server(name: str) -> None:
    """A migration needs none, and a process that takes orders from the world none to delete a volume."""
    spec = pods()[name]["spec"]

    expected = {"dexorder-migrate": ("dexorder-gateway", False), "dexorder-erase": ("dexorder-eraser", True)}
    assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == expected.get(
        name, ("dexorder-gateway", True)
    )


def test_nothing_but_the_eraser_may_delete_volumes() -> None:
    rules = [(role["metadata"]["name"], rule) for role in objects("Role") for rule in role["rules"]]
    may = {name for name, rule in rules if "persistentvolumeclaims" in rule["resources"] and "delete" in rule["verbs"]}

    assert may == {"dexorder-eraser"}
    assert not [rule for _, rule in rules if {"secrets", "pods/exec"} & set(rule["resources"])]


def test_services_budgets_and_policies_select_the_pods_that_there_are() -> None:
    labels = [pod["metadata"]["labels"] for pod in pods().values()]
    selectors = [
        *(each["spec"]["selector"] for each in objects("Service")),
        *(each["spec"]["selector"]["matchLabels"] for each in objects("PodDisruptionBudget")),
        *(each["spec"]["podSelector"].get("matchLabels", {}) for each in objects("NetworkPolicy")),
        *(each["spec"]["selector"]["matchLabels"] for each in objects("Deployment")),
    ]

    assert len(selectors) > 6
    for selector in selectors:
        assert any(selector.items() <= each.items() for each in labels), selector


def test_its_settings_are_settings_of_the_gateway() -> None:
    (settings,) = objects("ConfigMap")
    known = set(re.findall(r"^(?:# )?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))

    assert set(settings["data"]) <= known
    assert not [name for name in settings["data"] if re.search(r"SECRET|TOKEN|KEY$|DATABASE|REDIS", name)]


def test_the_autoscaler_follows_what_every_cluster_has() -> None:
    """While one of several metrics can't be read, no pod is taken away: https://github.com/kubernetes/kubernetes/pull/99514"""
    (scaler,) = objects("HorizontalPodAutoscaler")

    assert [each["type"] for each in scaler["spec"]["metrics"]] == ["Resource"]


def test_a_component_adds_a_series_that_the_gateway_has_to_that_autoscaler() -> None:
    folder = DEPLOY / "components" / "turns-metric"
    (scaler,) = objects("HorizontalPodAutoscaler")
    (patch,) = yaml.safe_load((folder / "kustomization.yaml").read_text())["patches"]
    changes: Any = yaml.safe_load((folder / patch["path"]).read_text())
    (change,) = changes

    assert (patch["target"]["kind"], patch["target"]["name"]) == (scaler["kind"], scaler["metadata"]["name"])
    assert (change["op"], change["path"]) == ("add", "/spec/metrics/-")
    assert f"`{change['value']['pods']['metric']['name']}`" in (ROOT / "docs/operations.md").read_text()


@pytest.mark.parametrize(
    ("component", "ports"), [("traces", {4317, 4318}), ("redis-tls", {6380}), ("pgbouncer", {6432})]
)
def test_a_component_opens_its_ports_for_the_gateways_pods_and_nothing_else(component: str, ports: set[int]) -> None:
    """Policies add up: one that names no rule of the base takes none away."""
    (policy,) = documents(DEPLOY / "components" / component / "network.yaml")
    (rule,) = policy["spec"]["egress"]

    assert {each["port"] for each in rule["ports"]} == ports
    assert policy["spec"]["policyTypes"] == ["Egress"]
    base = {each["metadata"]["name"] for each in documents(DEPLOY / "base" / "network.yaml")}
    assert policy["metadata"]["name"] not in base
