"""Workspaces in a cluster while the gateway's release is replaced: the tests' API server, whose node runs them as processes."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.tests.e2e.processes import Deployment


@contextmanager
def cluster_of(running: Deployment, folder: Path) -> Iterator[Callable[[], None]]:
    """PROVISIONER=kubernetes for both releases; gives what fails when a pod was replaced, or a container of it restarted."""
    os.environ |= {"DJANGO_SETTINGS_MODULE": "gateway.settings", "SECRET_KEY": "upgrade-check", "DEBUG": "true"}
    os.environ["DATABASE_URL"] = running.database_url
    import django  # noqa: PLC0415

    django.setup()
    from gateway.tests.e2e.clusters import node_cluster  # noqa: PLC0415

    folder.mkdir()
    seen: dict[str, str] = {}
    with node_cluster(folder) as node:
        running.environment |= node.settings

        def same() -> None:
            pods = {pod["metadata"]["uid"]: pod for pod in node.cluster.objects("pods")}
            assert len(pods) == len(node.cluster.objects("deployments")), "a workspace has not one pod"
            assert seen.keys() <= pods.keys(), f"replaced: {', '.join(seen[uid] for uid in seen.keys() - pods.keys())}"
            restarted = [pod["metadata"]["name"] for pod in pods.values() if restarts_of(pod)]
            assert not restarted, f"restarted: {', '.join(restarted)}"
            assert len(node.cluster.objects("replicasets")) == len(pods), "a workspace was given another template"
            seen.update({uid: str(pod["metadata"]["name"]) for uid, pod in pods.items()})

        yield same


def restarts_of(pod: dict[str, Any]) -> int:
    """How often its containers were started again."""
    status = pod.get("status", {})
    containers = (*status.get("initContainerStatuses", []), *status.get("containerStatuses", []))
    return sum(int(each["restartCount"]) for each in containers)
