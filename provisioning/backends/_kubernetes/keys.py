"""The public halves of the gateway's signing keys, in a ConfigMap that every workspace mounts."""

import re

from provisioning import tokens
from provisioning.backends._kubernetes.api import Api
from provisioning.backends._kubernetes.cluster import Cluster
from provisioning.backends._kubernetes.errors import Missing
from provisioning.backends._kubernetes.kinds import CONFIGMAPS
from provisioning.backends._kubernetes.manifests import KEYS, keys_manifest

_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----\n?")


async def publish_keys(cluster: Cluster) -> None:
    """See once in the life of a cluster's connection that workspaces trust the keys of this gateway's setting, and no others.

    Raises ApiFailed, and ImproperlyConfigured without a key.
    """
    ours = tokens.signing_key().public_pem.decode("ascii")
    async with cluster.publishing:
        if cluster.published != ours:
            await _publish(cluster.api, ours)
            cluster.published = ours


async def _publish(api: Api, ours: str) -> None:
    try:
        found = await api.get(CONFIGMAPS, KEYS)
        former = _PEM.findall((found.get("data") or {}).get("public.pem", ""))
    except Missing:
        former = []
    if set(former) != set(_PEM.findall(ours)):
        await api.apply(keys_manifest(ours), force=True)
