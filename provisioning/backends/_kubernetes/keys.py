"""The public halves of the gateway's signing keys, in a ConfigMap that every workspace mounts."""

import re

from provisioning import tokens
from provisioning.backends._kubernetes.api import Api
from provisioning.backends._kubernetes.cluster import Cluster
from provisioning.backends._kubernetes.errors import Missing
from provisioning.backends._kubernetes.judging import MOUNT_FAILS
from provisioning.backends._kubernetes.kinds import CONFIGMAPS
from provisioning.backends._kubernetes.manifests import KEYS, keys_manifest

_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----\n?")


async def publish_keys(cluster: Cluster) -> None:
    """See that workspaces trust the keys of this gateway's setting, and no others.

    Once in the life of a cluster's connection, and again when a pod is told that the ConfigMap is not as it should be. Raises
    ApiFailed, and ImproperlyConfigured without a key.
    """
    ours = tokens.signing_key().public_pem.decode("ascii")
    async with cluster.publishing:
        missed = _missed(cluster)
        if cluster.published != ours or not missed <= cluster.missed:
            await _publish(cluster.api, ours)
            cluster.published, cluster.missed = ours, missed


async def publish_missed_keys(cluster: Cluster) -> None:
    """The same only if a pod misses them: it goes on by itself once they are there. Raises the same."""
    if not _missed(cluster) <= cluster.missed:
        await publish_keys(cluster)


def _missed(cluster: Cluster) -> frozenset[tuple[str, str]]:
    """The events, by uid and version, that tell of a pod that can't mount the keys."""
    told = (each for each in cluster.warnings.all() if each.reason == MOUNT_FAILS and KEYS in each.message)
    return frozenset((each.uid, each.version) for each in told)


async def _publish(api: Api, ours: str) -> None:
    try:
        found = await api.get(CONFIGMAPS, KEYS)
        former = _PEM.findall((found.get("data") or {}).get("public.pem", ""))
    except Missing:
        former = []
    if set(former) != set(_PEM.findall(ours)):
        await api.apply(keys_manifest(ours), force=True)
