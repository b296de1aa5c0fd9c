"""A licence that has changed while its workspace runs: what can be given at once is, the rest holds from the next start on.

Nothing is restarted by surprise: a Deployment whose template is out of date is applied anew when it is next scaled up.
"""

import structlog

from provisioning.backends import Spec
from provisioning.backends._kubernetes.cluster import Cluster
from provisioning.backends._kubernetes.errors import ApiFailed
from provisioning.backends._kubernetes.judging import judge
from provisioning.backends._kubernetes.manifests import manifests
from provisioning.backends._kubernetes.placing import grow
from provisioning.backends._kubernetes.views import SERVER

# Of workspaces that this process has looked at; more than can be in use at once.
MOST_KNOWN = 10_000

log = structlog.get_logger(__name__)


class Adjusting:
    """Which wishes this process has looked at, so that each is looked at once."""

    def __init__(self) -> None:
        self._seen: dict[str, Spec] = {}

    async def adjust(self, cluster: Cluster, spec: Spec) -> None:
        """See that a running workspace has what its licence gives, as far as that needs no restart."""
        if self._seen.get(spec.name) == spec:
            return
        if len(self._seen) >= MOST_KNOWN:
            self._seen.clear()
        self._seen[spec.name] = spec
        sight = cluster.look(spec.name)
        wanted = manifests(spec)
        if sight.deployment is None or sight.deployment.template == wanted.template:
            return
        try:
            if sight.volume is not None:
                await grow(cluster, sight.volume, wanted.volume)
            pod = judge(sight).ready
            if pod is not None:
                [server] = wanted.deployment["spec"]["template"]["spec"]["containers"]
                await cluster.api.resize(pod.name, SERVER, server["resources"])
        except ApiFailed as error:
            log.info("workspace_change_waits_for_its_next_start", workspace=spec.name, error=str(error))
        else:
            log.info("workspace_changed_in_place", workspace=spec.name)
