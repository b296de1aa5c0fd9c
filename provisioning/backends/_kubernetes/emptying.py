"""What must hold before a workspace that seems to serve nobody is scaled to 0.

Each kind of objects has a watch of its own, and that of the pods may tell late: so the cluster itself is asked.
"""

from provisioning.backends._kubernetes.cluster import Cluster
from provisioning.backends._kubernetes.errors import Conflict, Missing
from provisioning.backends._kubernetes.kinds import DEPLOYMENTS, PODS, SERVICES
from provisioning.backends._kubernetes.manifests import WORKSPACE
from provisioning.backends._kubernetes.views import PodView


async def require_none_at_work(cluster: Cluster, name: str) -> None:
    """Raises Conflict when a pod serves, or is unready while its server runs, which may be at work for somebody; ApiFailed."""
    _require(not any(pod.ready or pod.works for pod in await _pods(cluster, name)), name)


async def require_none_ready(cluster: Cluster, name: str) -> None:
    """Raises Conflict when a pod serves; ApiFailed."""
    _require(not any(pod.ready for pod in await _pods(cluster, name)), name)


async def give_back(cluster: Cluster, name: str) -> None:
    """Scale a start that nobody is at to 0 if nobody can have come back to it. Raises Conflict, ApiFailed.

    Whoever marks the Deployment after it was read here is about to use it. What lacks a Service can be used by nobody.
    """
    try:
        found = await cluster.api.get(DEPLOYMENTS, name)
    except Missing:
        return
    if found["spec"].get("replicas", 1) == 0:
        return
    if await _has_service(cluster, name):
        await require_none_at_work(cluster, name)
    change = {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}, "spec": {"replicas": 0}}
    cluster.note(await cluster.api.patch(DEPLOYMENTS, name, change))


def _require(empty: bool, name: str) -> None:
    if not empty:
        raise Conflict("a pod of it is at work by now", about=f"scale {name}")


async def _has_service(cluster: Cluster, name: str) -> bool:
    try:
        await cluster.api.get(SERVICES, name)
    except Missing:
        return False
    return True


async def _pods(cluster: Cluster, name: str) -> list[PodView]:
    pods: list[PodView] = []
    async for page in cluster.api.pages(PODS, query={"labelSelector": f"{WORKSPACE}={name}"}):
        pods += cluster.pods.views(page.get("items") or [])
    return [pod for pod in pods if not pod.deleting]
