"""A licence that has changed while its workspace runs: what can be given at once is, the rest holds from the next start on.

Nothing is restarted by surprise: a Deployment whose template is out of date is applied anew when it is next scaled up, and its
user is told until then that there is something to come.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog
from django.core.exceptions import ImproperlyConfigured

from provisioning.backends import Spec
from provisioning.backends._kubernetes.cluster import Cluster, Sight
from provisioning.backends._kubernetes.errors import ApiFailed, Missing, Refused
from provisioning.backends._kubernetes.idling import idle_due, is_changed, shorten
from provisioning.backends._kubernetes.judging import judge
from provisioning.backends._kubernetes.manifests import manifests
from provisioning.backends._kubernetes.placing import grow
from provisioning.backends._kubernetes.views import SERVER

# Of workspaces that this process has looked at; more than can be in use at once.
MOST_KNOWN = 10_000
# A request waits no longer for what it does not need.
WAIT_S = 3.0
# Between two tries while the API server does not do it.
AGAIN_S = 30.0

Step = Callable[[Cluster, Sight, Spec], Awaitable[None]]

log = structlog.get_logger(__name__)


class Adjusting:
    """Which wishes this process has fulfilled or knows to be refused, so that each is looked at once."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # With the pod that it was settled for: another gateway may have made the next one from another licence.
        self._settled: dict[str, tuple[Spec, str]] = {}
        self._failed: dict[str, float] = {}
        self._working: dict[str, asyncio.Task[None]] = {}

    async def adjust(self, cluster: Cluster, spec: Spec) -> None:
        """See that a running workspace has what its licence gives, as far as that needs no restart.

        What an API server does not do just now is tried again by a later call; what it refuses is not. Neither hinders the use
        of what runs.
        """
        name, wish = spec.name, _wish(cluster.look(spec.name), spec)
        failed = self._clock() - self._failed.get(name, float("-inf"))
        if self._settled.get(name) == wish or name in self._working or failed < AGAIN_S:
            return
        task = self._working[name] = asyncio.create_task(self._work(cluster, spec))
        task.add_done_callback(lambda _: self._working.pop(name, None))
        await asyncio.wait([task], timeout=WAIT_S)

    async def _work(self, cluster: Cluster, spec: Spec) -> None:
        if len(self._settled) + len(self._failed) >= MOST_KNOWN:
            self._settled.clear()
            self._failed.clear()
        sight = cluster.look(spec.name)
        # One that is refused, as resizing is before 1.33, hinders no other.
        done = [
            await _tried(step, cluster=cluster, sight=sight, spec=spec) for step in (_lower_idle_time, _give_resources)
        ]
        if all(done):
            self._settled[spec.name] = _wish(sight, spec)
        else:
            self._failed[spec.name] = self._clock()


def _wish(sight: Sight, spec: Spec) -> tuple[Spec, str]:
    return spec, sight.pod.uid if sight.pod is not None else ""


async def _tried(step: Step, *, cluster: Cluster, sight: Sight, spec: Spec) -> bool:
    """Whether the step is done with: carried out, or refused."""
    try:
        await step(cluster, sight, spec)
    except (Missing, Refused) as error:
        log.info("workspace_change_waits_for_its_next_start", workspace=spec.name, error=str(error))
    except (ApiFailed, ImproperlyConfigured) as error:
        log.warning("workspace_change_is_tried_again", workspace=spec.name, error=str(error))
        return False
    return True


async def _lower_idle_time(cluster: Cluster, sight: Sight, spec: Spec) -> None:
    await shorten(cluster, sight, idle_due(sight, spec))


async def _give_resources(cluster: Cluster, sight: Sight, spec: Spec) -> None:
    if not is_changed(sight, spec):
        return
    wanted = manifests(spec)
    if sight.volume is not None:
        await grow(cluster, sight.volume, wanted.volume)
    pod = judge(sight).ready
    if pod is not None:
        [server] = wanted.deployment["spec"]["template"]["spec"]["containers"]
        await cluster.api.resize(pod.name, SERVER, server["resources"])
        log.info("workspace_changed_in_place", workspace=spec.name)
