"""The way through a Service to a ready pod's process: `http://127.0.0.1:PORT/{namespace}/{name}/…`.

What DNS and kube-proxy are in a cluster is the first two segments of a path here, for WORKSPACE_ENDPOINT_TEMPLATE.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from provisioning.tests.cluster.app import ConnectionCut, Receive, Scope, Send, body_of, cut
from provisioning.tests.cluster.cluster import Cluster
from provisioning.tests.cluster.controllers.control import condition_of
from provisioning.tests.cluster.kinds import PODS, SERVICES, Object
from provisioning.tests.cluster.node.processes import Processes
from provisioning.tests.cluster.serving import running
from provisioning.tests.cluster.store import meta

_PER_HOP = frozenset({b"host", b"connection", b"keep-alive", b"transfer-encoding", b"content-length"})


class ServiceProxy:
    """Passes requests on, and their answers as they come. Without a ready pod the connection is cut, as it is refused there."""

    def __init__(self, cluster: Cluster, processes: Processes) -> None:
        self._cluster = cluster
        self._processes = processes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await body_of(receive)
        try:
            await self._pass_on(scope, body, send)
        except (ConnectionCut, httpx.TransportError):
            cut(send)

    async def _pass_on(self, scope: Scope, body: bytes, send: Send) -> None:
        namespace, name, path = (*scope["path"].lstrip("/").split("/", 2), "", "")[:3]
        port = self._port(namespace, name)
        if port is None:
            raise ConnectionCut
        headers = [(key, value) for key, value in scope["headers"] if key not in _PER_HOP]
        url = httpx.URL(f"http://127.0.0.1:{port}/{path}", query=scope["query_string"])
        async with (
            httpx.AsyncClient(trust_env=False, timeout=None) as client,  # noqa: S113 - the caller has its own
            client.stream(scope["method"], url, headers=headers, content=body) as answer,
        ):
            kept = [(key.lower(), value) for key, value in answer.headers.raw if key.lower() not in _PER_HOP]
            await send({"type": "http.response.start", "status": answer.status_code, "headers": kept})
            async for part in answer.aiter_raw():
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    def _port(self, namespace: str, name: str) -> int | None:
        with self._cluster.lock:
            service = self._cluster.store.find(SERVICES, namespace, name)
            if service is None:
                return None
            for pod in self._cluster.store.listed(PODS, namespace):
                if _is_behind(service, pod):
                    return self._processes.port_of(pod, _target(service, pod))
        return None


def _is_behind(service: Object, pod: Object) -> bool:
    labels = meta(pod).get("labels", {})
    chosen = all(labels.get(key) == value for key, value in service["spec"]["selector"].items())
    ready = condition_of(pod, "Ready")
    return chosen and ready is not None and ready["status"] == "True" and "deletionTimestamp" not in meta(pod)


def _target(service: Object, pod: Object) -> int:
    """The container's port that the Service's first port means, by number or by name."""
    wanted = service["spec"]["ports"][0]["targetPort"]
    if isinstance(wanted, int):
        return wanted
    ports = (port for container in pod["spec"]["containers"] for port in container.get("ports") or [])
    return next(int(port["containerPort"]) for port in ports if port.get("name") == wanted)


@contextmanager
def proxied(cluster: Cluster, processes: Processes) -> Iterator[str]:
    """A template for WORKSPACE_ENDPOINT_TEMPLATE, good inside the block."""
    with running(ServiceProxy(cluster, processes)) as port:
        yield f"http://127.0.0.1:{port}/{{namespace}}/{{name}}/mcp"
