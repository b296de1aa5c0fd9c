"""A cluster whose node runs the project's own workspace server and sidecar as processes, for gateways that are processes too."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from provisioning.rendering import render_namespace
from provisioning.tests.cluster import Cluster, Plan, Served, served
from provisioning.tests.cluster.node.processes import Processes
from provisioning.tests.cluster.node.services import proxied
from provisioning.tests.cluster.node.workspaces import images

NAMESPACE = "dexorder-workspaces"
GATEWAY = "dexorder-gateway"
IMAGES = {"WORKSPACE_IMAGE": "registry.example/workspace:1", "SIDECAR_IMAGE": "registry.example/sidecar:1"}


@dataclass
class NodeCluster:
    """The cluster, its node, and the settings with which a gateway uses it."""

    cluster: Cluster
    processes: Processes
    settings: dict[str, str]


@contextmanager
def node_cluster(folder: Path) -> Iterator[NodeCluster]:
    """Served inside the block; each pod takes a moment to be placed and its images a moment to come."""
    cluster = Cluster(namespace=NAMESPACE, virtual=False)
    cluster.plans.usual = Plan(schedule_s=0.5, pull_s=0.5)
    with (
        served(cluster, folder, tls=True) as api,
        _node_of(api, folder) as processes,
        proxied(cluster, processes) as endpoint,
    ):
        settings = {
            "PROVISIONER": "kubernetes",
            "KUBERNETES_NAMESPACE": NAMESPACE,
            "KUBECONFIG": str(api.kubeconfig(_install(cluster))),
            "WORKSPACE_ENDPOINT_TEMPLATE": endpoint,
            **IMAGES,
        }
        yield NodeCluster(cluster, processes, settings)


def _install(cluster: Cluster) -> str:
    """What an operator applies once; gives the token of the gateway's service account."""
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "dexorder"}})
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": GATEWAY, "namespace": "dexorder"}}
    cluster.create(account)
    namespace, *others = render_namespace()
    cluster.edit(
        "namespaces", NAMESPACE, lambda held: held["metadata"]["labels"].update(namespace["metadata"]["labels"])
    )
    cluster.create_all(others)
    return cluster.identities.issue("dexorder", GATEWAY)


@contextmanager
def _node_of(api: Served, folder: Path) -> Iterator[Processes]:
    processes = Processes(api, folder, images(*IMAGES.values(), WORKSPACE_POLL_SECONDS="0.2"))
    api.cluster.kubelet.runtime = processes
    try:
        yield processes
    finally:
        processes.close()
