"""The web chat with workspaces in a cluster, whose node runs their own server and sidecar as in their pod."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from gateway.tests.e2e.conftest import Deploy
from gateway.tests.e2e.processes import Server, until
from provisioning.names import workspace_name
from provisioning.rendering import render_namespace
from provisioning.tests.cluster import Cluster, Plan, Served, served
from provisioning.tests.cluster.node.processes import Processes
from provisioning.tests.cluster.node.services import proxied
from provisioning.tests.cluster.node.workspaces import images

NAMESPACE = "dexorder-workspaces"
GATEWAY = "dexorder-gateway"
IMAGES = {"WORKSPACE_IMAGE": "registry.example/workspace:1", "SIDECAR_IMAGE": "registry.example/sidecar:1"}
NAME = workspace_name("demo-pro")

# Longer than a machine with much to do takes between the end of a start and the turn's first request.
IDLE_S = 4


@dataclass
class Bed:
    """A cluster with a namespace for workspaces, and a gateway that may use it."""

    cluster: Cluster
    processes: Processes
    server: Server

    def replicas(self) -> int:
        """How many pods the user's Deployment shall have."""
        return int(self.cluster.get("deployments", NAME)["spec"]["replicas"])

    def stops(self) -> list[int]:
        """What the API server answered when the sidecar asked for its end."""
        sidecar = f"system:serviceaccount:{NAMESPACE}:{NAME}"
        return [call.code for call in self.cluster.journal.writes() if call.user == sidecar]


def install(api: Served) -> str:
    """What an operator applies once; gives the token of the gateway's service account."""
    cluster = api.cluster
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
def node_of(api: Served, folder: Path) -> Iterator[Processes]:
    """The cluster's node runs processes inside the block."""
    processes = Processes(api, folder, images(*IMAGES.values(), WORKSPACE_POLL_SECONDS="0.2"))
    api.cluster.kubelet.runtime = processes
    try:
        yield processes
    finally:
        processes.close()


@pytest.fixture
def bed(deploy: Deploy, tmp_path: Path) -> Iterator[Bed]:
    cluster = Cluster(namespace=NAMESPACE, virtual=False)
    cluster.plans.usual = Plan(schedule_s=0.5, pull_s=0.5)
    with (
        served(cluster, tmp_path, tls=True) as api,
        node_of(api, tmp_path) as processes,
        proxied(cluster, processes) as endpoint,
        deploy(
            "kubernetes",
            DEFAULT_MODEL_PROVIDER="",
            DEFAULT_MODEL="",
            OPENAI_BASE_URL="",
            PROVISIONER="kubernetes",
            KUBERNETES_NAMESPACE=NAMESPACE,
            KUBECONFIG=str(api.kubeconfig(install(api))),
            WORKSPACE_ENDPOINT_TEMPLATE=endpoint,
            IDLE_TIMEOUT_PRO_S=str(IDLE_S),
            **IMAGES,
        ) as deployment,
    ):
        yield Bed(cluster, processes, deployment.serve())


def ask(page: Page, text: str, *, answers: int) -> None:
    """Ask, and wait for that many answers of the demo model on the page."""
    page.get_by_label("Message to the agent").fill(text)
    page.keyboard.press("Enter")
    expect(page.locator(".answer").get_by_text("demo model")).to_have_count(answers, timeout=60_000)


def test_a_chat_starts_the_workspace_which_stops_when_idle_and_wakes_for_the_next_message(bed: Bed, page: Page) -> None:
    """Source: DESIGN.md, Workspaces: stages reach the user, the sidecar scales to 0, the volume and its history stay."""
    page.goto(f"http://localhost:{bed.server.port}/")
    page.get_by_role("button", name="demo-pro").click()
    ask(page, "RSI of SPX over the last 252 bars?", answers=1)
    stages = page.evaluate("[...window.stages]")
    until(lambda: bed.replicas() == 0 and not bed.cluster.pods_of(NAME), what="the idle stop by the sidecar")
    stopped = bed.stops()
    ask(page, "And of AAPL?", answers=2)

    assert [
        stage for stage in ("Finding a place", "Fetching", "Starting") if not any(stage in each for each in stages)
    ] == []
    assert stopped[-1] == 200
    assert bed.replicas() == 1
    assert bed.cluster.names("persistentvolumeclaims") == [NAME]
    assert bed.cluster.get("persistentvolumeclaims", NAME)["status"]["phase"] == "Bound"
