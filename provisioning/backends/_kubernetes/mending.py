"""Put back what somebody has removed of a workspace that runs: its Service and its ServiceAccount, never what wakes it."""

from provisioning.backends import Spec
from provisioning.backends._kubernetes.cluster import Cluster, Sight
from provisioning.backends._kubernetes.manifests import manifests, service_manifest
from provisioning.backends._kubernetes.placing import NO_VERSION
from provisioning.backends._kubernetes.templates import Tree


async def mend(cluster: Cluster, spec: Spec, sight: Sight) -> None:
    """Create what is missing there. Raises ApiFailed: Conflict for what is there by now, whoever's it is."""
    if sight.account is None:
        await _create(cluster, manifests(spec).account)
    if sight.service is None and sight.deployment is not None:
        # Of a Deployment that is gone by then it is garbage, which the cluster removes.
        await _create(cluster, service_manifest(spec, owner_uid=sight.deployment.uid))


async def _create(cluster: Cluster, tree: Tree) -> None:
    new = tree | {"metadata": tree["metadata"] | {"resourceVersion": NO_VERSION}}
    cluster.note(await cluster.api.apply(new))
