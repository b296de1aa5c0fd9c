"""Stop a workspace, and remove what is left of a stopped one."""

import asyncio
from contextlib import suppress

from provisioning.backends._kubernetes.cluster import Cluster, Sight
from provisioning.backends._kubernetes.errors import Missing
from provisioning.backends._kubernetes.kinds import ACCOUNTS, DEPLOYMENTS, SERVICES, VOLUMES, Kind
from provisioning.backends._kubernetes.views import View
from provisioning.errors import Cause, WorkspaceFailed

# The pod's own grace is 30 s; then the kubelet kills it.
GONE_WITHIN_S = 45.0
# A watch tells of a deletion within milliseconds; one that is broken must not hold up who deletes.
HEARD_WITHIN_S = 5.0


async def stop(cluster: Cluster, name: str) -> None:
    """Scale to 0 and return when no pod is left. Raises ApiFailed, and WorkspaceFailed when one stays."""
    with suppress(Missing):
        cluster.note(await cluster.api.patch(DEPLOYMENTS, name, {"spec": {"replicas": 0}}))
    try:
        async with asyncio.timeout(GONE_WITHIN_S):
            await _until_no_pod_is_left(cluster, name)
    except TimeoutError:
        raise WorkspaceFailed(Cause.INTERNAL, detail=f"a pod of {name} does not end; is its node gone?") from None


async def remove(cluster: Cluster, name: str, *, with_data: bool) -> bool:
    """Delete what there is of a stopped workspace, the volume only `with_data`; whether there was anything. Raises ApiFailed."""
    sight = cluster.look(name)
    # Who asked holds the workspace's claim, so nobody starts it; its controllers may still write to it.
    deleted = await _delete_all(cluster, sight, exact=False)
    if with_data:
        deleted.append(await _delete(cluster, VOLUMES, sight.volume))
    await _heard_of(cluster, name, sight, with_data=with_data)
    return any(deleted)


async def remove_seen(cluster: Cluster, name: str, sight: Sight) -> None:
    """Delete what was judged, and its data never. Raises Conflict for what has changed since it was seen, ApiFailed."""
    await _delete_all(cluster, sight, exact=True)
    await _heard_of(cluster, name, sight, with_data=False)


async def _delete_all(cluster: Cluster, sight: Sight, *, exact: bool) -> list[bool]:
    """All but the volume. The Deployment is first: it is what somebody who comes back writes to."""
    parts = ((DEPLOYMENTS, sight.deployment), (SERVICES, sight.service), (ACCOUNTS, sight.account))
    return [await _delete(cluster, kind, view, exact=exact) for kind, view in parts]


async def _heard_of(cluster: Cluster, name: str, sight: Sight, *, with_data: bool) -> None:
    with cluster.listening(name) as heard, suppress(TimeoutError):
        # So that the next start, in this process, knows that they are gone.
        async with asyncio.timeout(HEARD_WITHIN_S):
            while _remains(sight, cluster.look(name), with_data=with_data):
                heard.clear()
                await heard.wait()


def _remains(before: Sight, now: Sight, *, with_data: bool) -> bool:
    removed = {each.uid for each in before.objects if with_data or each is not before.volume}
    return any(each.uid in removed and not each.deleting for each in now.objects)


async def _delete(cluster: Cluster, kind: Kind, view: View | None, *, exact: bool = False) -> bool:
    if view is None:
        return False
    try:
        await cluster.api.delete(kind, view.name, uid=view.uid, version=view.version if exact else "")
    except Missing:
        return False
    return True


async def _until_no_pod_is_left(cluster: Cluster, name: str) -> None:
    with cluster.listening(name) as heard:
        while any(pod.phase not in {"Succeeded", "Failed"} for pod in cluster.look(name).pods):
            heard.clear()
            await heard.wait()
