"""A cluster to start workspaces on, and in the place of the users' servers one that answers for every ready pod."""

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pytest_django.fixtures import Settings

from provisioning.backends._kubernetes.cluster import cluster
from provisioning.backends._kubernetes.kinds import EVENTS
from provisioning.backends._kubernetes.manifests import WORKSPACE
from provisioning.names import workspace_name
from provisioning.rendering import render_namespace
from provisioning.tests.cluster import Cluster, Served, served
from provisioning.tests.cluster.node.processes import Processes
from provisioning.tests.cluster.node.services import proxied
from provisioning.tests.cluster.node.workspaces import images

GATEWAY = "dexorder-gateway"
VOLUMES = "persistentvolumeclaims"


@dataclass
class Bed:
    """`deaf` are the uids of pods whose server does not answer though they are ready."""

    cluster: Cluster
    served: Served
    deaf: set[str]

    def ready(self, name: str) -> list[str]:
        """The uids of the workspace's ready pods."""
        return [pod["metadata"]["uid"] for pod in self.cluster.pods_of(name) if is_ready(pod)]

    def replicas(self, name: str) -> int:
        """How many pods the Deployment shall have."""
        replicas: int = self.cluster.get("deployments", name)["spec"]["replicas"]
        return replicas

    async def scale(self, name: str, replicas: int) -> None:
        """As a stranger does, and this process has heard of it."""
        self.cluster.edit("deployments", name, lambda tree: tree["spec"].update(replicas=replicas))
        await self.heard()

    async def heard(self) -> None:
        """Return when this process has heard of all that has happened to the workspaces."""
        known = await cluster()
        for kind, shelf in known.shelves.items():
            if kind is EVENTS:
                continue
            async with asyncio.timeout(20):
                while {view.version for view in shelf.all()} != self._versions(kind.plural):  # noqa: ASYNC110 - of a watch
                    await asyncio.sleep(0.01)

    def _versions(self, plural: str) -> set[str]:
        trees = [tree["metadata"] for tree in self.cluster.objects(plural)]
        return {metadata["resourceVersion"] for metadata in trees if WORKSPACE in (metadata.get("labels") or {})}


@contextmanager
def bed(folder: Path, settings: Settings, *, virtual: bool = True, tls: bool = False) -> Iterator[Bed]:
    """Have PROVISIONER=kubernetes work against a cluster inside the block, by the gateway's own account."""
    settings.PROVISIONER = "kubernetes"
    fake = _prepared(settings, virtual=virtual)
    with served(fake, folder, tls=tls) as api, _answering(Bed(fake, api, set())) as (made, port):
        token = fake.identities.issue("dexorder", GATEWAY, lasting_s=10**9)
        settings.KUBECONFIG = str(api.kubeconfig(token))
        settings.WORKSPACE_ENDPOINT_TEMPLATE = f"http://127.0.0.1:{port}/{{name}}/mcp"
        yield made


@contextmanager
def node_bed(folder: Path, settings: Settings, *, hurry: float = 1.0, **environment: str) -> Iterator[Bed]:
    """The same with a node that runs the project's own server and sidecar as processes, on the machine's time.

    It is `hurry` times as hasty as their manifest says, with probes and with the time to end. `environment` is added to that of
    both.
    """
    settings.PROVISIONER = "kubernetes"
    settings.WORKSPACE_IMAGE, settings.SIDECAR_IMAGE = "registry.example/workspace:1", "registry.example/sidecar:1"
    fake = _prepared(settings, virtual=False)
    with served(fake, folder, tls=True) as api:
        settings.KUBECONFIG = str(api.kubeconfig(fake.identities.issue("dexorder", GATEWAY)))
        known = images(settings.WORKSPACE_IMAGE, settings.SIDECAR_IMAGE, **environment)
        processes = Processes(api, folder, known, hurry=hurry)
        fake.kubelet.runtime = processes
        try:
            with proxied(fake, processes) as endpoint:
                settings.WORKSPACE_ENDPOINT_TEMPLATE = endpoint
                yield Bed(fake, api, set())
        finally:
            processes.close()


def _prepared(settings: Settings, *, virtual: bool) -> Cluster:
    """A cluster with what an operator applies once."""
    fake = Cluster(namespace=settings.KUBERNETES_NAMESPACE, virtual=virtual)
    fake.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "dexorder"}})
    fake.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": GATEWAY, "namespace": "dexorder"}})
    for tree in render_namespace():
        if tree["kind"] not in {"Namespace", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}:
            fake.create(tree)
    return fake


@contextmanager
def _answering(made: Bed) -> Iterator[tuple[Bed, int]]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            claims = self.headers["Authorization"].split(".")[1]
            user = json.loads(base64.urlsafe_b64decode(claims + "==="))["sub"]
            name = self.path.split("/")[1]
            pods = [uid for uid in made.ready(name) if uid not in made.deaf]
            routed = pods and name in made.cluster.names("services")
            self.send_response(503 if not routed else 200 if workspace_name(user) == name else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made, server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def is_ready(pod: dict[str, Any]) -> bool:
    """Whether a pod is ready and not about to go."""
    conditions = pod.get("status", {}).get("conditions", [])
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")
