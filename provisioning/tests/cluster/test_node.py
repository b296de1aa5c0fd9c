"""The node that runs pods as processes: the workspace's own server and sidecar, as in their pod."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from provisioning.tests.cluster import Cluster, Served, served
from provisioning.tests.cluster.examples import claim, config_map
from provisioning.tests.cluster.kinds import Object
from provisioning.tests.cluster.node.images import Translation, expanded
from provisioning.tests.cluster.node.processes import Processes
from provisioning.tests.cluster.node.services import proxied
from provisioning.tests.cluster.node.volumes import Volumes
from provisioning.tests.cluster.node.workspaces import CREDENTIALS, images
from provisioning.tests.cluster.wire import DEPLOYMENTS, Wire, access_to

SERVER, SIDECAR = "registry.example/workspace:1", "registry.example/sidecar:1"
RBAC = "rbac.authorization.k8s.io"


@dataclass
class Bed:
    """A cluster with such a node. `endpoint` is the template of the ways to its Services."""

    api: Served
    processes: Processes
    endpoint: str


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    cluster = Cluster(virtual=False)
    with served(cluster, tmp_path, tls=True) as api:
        processes = Processes(api, tmp_path, images(SERVER, SIDECAR))
        cluster.kubelet.runtime = processes
        try:
            with proxied(cluster, processes) as endpoint:
                yield Bed(api, processes, endpoint)
        finally:
            processes.close()


def variables(**values: str) -> list[Object]:
    return [{"name": f"WORKSPACE_{name.upper()}", "value": value} for name, value in values.items()]


def workspace() -> Object:
    """A workspace as its manifest has it, as far as the node is concerned."""
    labels = {"app": "ws"}
    sidecar = {
        "name": "sidecar",
        "image": SIDECAR,
        "restartPolicy": "Always",
        "env": variables(
            activity_url="http://127.0.0.1:8001/activity", idle_seconds="1", poll_seconds="0.2", deployment="ws"
        ),
        "volumeMounts": [{"name": "token", "mountPath": CREDENTIALS}],
    }
    server = {
        "name": "server",
        "image": SERVER,
        "env": variables(user="demo-pro", tier="pro", public_key="/keys/public.pem"),
        "ports": [{"name": "mcp", "containerPort": 8000}],
        "startupProbe": {"httpGet": {"path": "/healthz", "port": "mcp"}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "keys", "mountPath": "/keys"}],
    }
    sources: list[Object] = [
        {"serviceAccountToken": {"path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
    volumes = [
        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "keys", "configMap": {"name": "keys"}},
        {"name": "token", "projected": {"sources": sources}},
    ]
    pod = {"serviceAccountName": "ws", "initContainers": [sidecar], "containers": [server], "volumes": volumes}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"selector": {"matchLabels": labels}, "template": template, "strategy": {"type": "Recreate"}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "ws"}, "spec": spec}


def around() -> list[Object]:
    """What the workspace needs beside it."""
    pem = Ed25519PrivateKey.generate().public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    keys = config_map("keys")
    keys["data"] = {"public.pem": pem.public_bytes(serialization.Encoding.PEM, form).decode()}
    scale = {
        "apiGroups": ["apps"],
        "resources": ["deployments/scale"],
        "resourceNames": ["ws"],
        "verbs": ["get", "patch"],
    }
    subject = {"kind": "ServiceAccount", "name": "ws", "namespace": "workspaces"}
    reference = {"apiGroup": RBAC, "kind": "Role", "name": "ws"}
    port = {"port": 8000, "targetPort": "mcp"}
    named: dict[str, Any] = {"metadata": {"name": "ws"}}
    return [
        claim(),
        keys,
        {"apiVersion": "v1", "kind": "ServiceAccount", **named},
        {"apiVersion": f"{RBAC}/v1", "kind": "Role", **named, "rules": [scale]},
        {"apiVersion": f"{RBAC}/v1", "kind": "RoleBinding", **named, "roleRef": reference, "subjects": [subject]},
        {"apiVersion": "v1", "kind": "Service", **named, "spec": {"selector": {"app": "ws"}, "ports": [port]}},
    ]


def await_deployment(wire: Wire, **wanted: int) -> None:
    """Return when the Deployment's status says so."""
    for event in wire.watch(DEPLOYMENTS):
        status = event["object"].get("status", {})
        if all(status.get(name, 0) == value for name, value in wanted.items()):
            return


@pytest.mark.soak
def test_a_workspace_starts_stops_itself_when_idle_and_comes_back_with_its_data(bed: Bed) -> None:
    """Source: DESIGN.md, Workspaces: the sidecar scales its own Deployment to 0; the PVC stays."""
    wire = Wire(access_to(bed.api))
    for tree in (*around(), workspace()):
        bed.api.cluster.create(tree)
    url = bed.endpoint.format(namespace="workspaces", name="ws").replace("/mcp", "/healthz")
    await_deployment(wire, readyReplicas=1)
    healthy = httpx.get(url, trust_env=False)
    await_deployment(wire, replicas=0)
    kept = list(bed.processes.volumes.claim("workspaces", "data").iterdir())
    with pytest.raises(httpx.TransportError):
        httpx.get(url, trust_env=False)
    wire.patch(f"{DEPLOYMENTS}/ws/scale", {"spec": {"replicas": 1}})
    await_deployment(wire, readyReplicas=1)
    wire.close()

    assert healthy.status_code == 200
    assert kept
    stops = [call for call in bed.api.cluster.journal.writes() if call.user.endswith(":ws")]
    assert [(call.verb, call.resource, call.name, call.code) for call in stops][:1] == [
        ("patch", "deployments/scale", "ws", 200)
    ]


def test_what_a_pod_says_of_itself_is_a_file_that_follows_it(tmp_path: Path) -> None:
    """Source: https://kubernetes.io/docs/concepts/storage/volumes/#downwardapi"""
    volumes = Volumes(Cluster(), tmp_path, tmp_path)
    item = {"path": "idle", "fieldRef": {"fieldPath": "metadata.annotations['example.com/idle.s']"}}
    pod: Object = {"metadata": {"name": "p", "namespace": "workspaces", "uid": "1", "annotations": {}}, "spec": {}}
    pod["spec"]["volumes"] = [{"name": "pod", "downwardAPI": {"items": [item]}}]
    file = volumes.made_for(pod)["pod"] / "idle"
    assert file.read_text() == ""

    pod["metadata"]["annotations"]["example.com/idle.s"] = "900"
    volumes.renew(pod)
    assert file.read_text() == "900"


def test_a_variable_may_name_those_before_it() -> None:
    assert expanded("$(A)/$$(A)/$(B)/$", {"A": "1"}) == "1/$(A)/$(B)/$"


def test_paths_and_ports_of_a_container_are_translated(tmp_path: Path) -> None:
    translation = Translation({"/data": tmp_path, "/data/keys": tmp_path / "k"}, {8000: 41000, 8001: 41001})

    assert translation.environment(
        {"A": "/data/x", "B": "/data/keys/p", "C": "8000", "D": "http://127.0.0.1:8001/activity", "E": "/database"}
    ) == {
        "A": f"{tmp_path}/x",
        "B": f"{tmp_path}/k/p",
        "C": "41000",
        "D": "http://127.0.0.1:41001/activity",
        "E": "/database",
    }
