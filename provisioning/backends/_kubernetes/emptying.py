"""What must hold before a workspace that seems to serve nobody is scaled to 0.

Each kind of objects has a watch of its own, and that of the pods may tell late: so the cluster itself is asked.
"""

from provisioning.backends._kubernetes.cluster import Cluster
from provisioning.backends._kubernetes.errors import Conflict
from provisioning.backends._kubernetes.kinds import PODS
from provisioning.backends._kubernetes.manifests import WORKSPACE
from provisioning.backends._kubernetes.views import PodView


async def require_none_at_work(cluster: Cluster, name: str) -> None:
    """Raises Conflict when a pod serves, or is unready while its server runs, which may be at work for somebody; ApiFailed."""
    _require(not any(pod.ready or pod.works for pod in await _pods(cluster, name)), name)


async def require_none_ready(cluster: Cluster, name: str) -> None:
    """Raises Conflict when a pod serves; ApiFailed."""
    _require(not any(pod.ready for pod in await _pods(cluster, name)), name)


def _require(empty: bool, name: str) -> None:
    if not empty:
        raise Conflict("a pod of it is at work by now", about=f"scale {name}")


async def _pods(cluster: Cluster, name: str) -> list[PodView]:
    pods: list[PodView] = []
    async for page in cluster.api.pages(PODS, query={"labelSelector": f"{WORKSPACE}={name}"}):
        pods += cluster.pods.views(page.get("items") or [])
    return [pod for pod in pods if not pod.deleting]
