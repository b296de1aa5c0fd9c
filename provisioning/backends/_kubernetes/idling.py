"""After how long without use a running workspace is stopped, lowered while it runs.

A smaller licence lowers it, one that has ended, and what only a restart can give to a workspace that would never stop: a change
of the licence, or of what pods are made from. Its sidecar, which alone sees what is at work, then stops it; nothing here does. It
is not raised: the next start has it anew.
"""

from contextlib import suppress

from django.core.exceptions import ImproperlyConfigured

from accounts.tiers import LIMITS
from provisioning.backends import Spec
from provisioning.backends._kubernetes.cluster import Cluster, Sight
from provisioning.backends._kubernetes.errors import Missing
from provisioning.backends._kubernetes.kinds import DEPLOYMENTS, PODS
from provisioning.backends._kubernetes.manifests import IDLE, licence_word, release_of
from provisioning.idle_times import shorter

# For a restart that was announced: long enough for who is away from the keyboard.
CHANGE_IDLE_S = 15 * 60

_TIERS = {str(tier): tier for tier in LIMITS}


def idle_due(sight: Sight, spec: Spec) -> int:
    """The idle time that a workspace shall have now; 0 = never stopped for that."""
    if sight.deployment is None:
        return spec.idle_s
    due = shorter(sight.deployment.idle_s, spec.idle_s)
    return due or (CHANGE_IDLE_S if is_changed(sight, spec) or is_outdated(sight) else 0)


def is_changed(sight: Sight, spec: Spec) -> bool:
    """Whether the running pod was made from another licence than this."""
    found = sight.deployment
    return found is not None and bool(found.licence) and found.licence != licence_word(spec)


def is_outdated(sight: Sight) -> bool:
    """Whether the next pod would be made from another template, image or table of values than the running one."""
    found = sight.deployment
    tier = _TIERS.get(found.licence.partition(" ")[0]) if found is not None else None
    try:
        now = release_of(tier) if tier is not None else None
    except ImproperlyConfigured:
        # A start says what is wrong with the table of values; what runs goes on without it.
        return False
    return found is not None and now is not None and found.release != now


def is_longer(sight: Sight, idle_s: int) -> bool:
    """Whether the workspace, or a pod of it, would be idle for longer than this."""
    found = [each.idle_s for each in (sight.deployment, *sight.pods) if each is not None and not each.deleting]
    return any(shorter(each, idle_s) != each for each in found)


async def shorten(cluster: Cluster, sight: Sight, idle_s: int) -> None:
    """Lower the idle time of the Deployment that was seen, and of its pods. Raises ApiFailed, also for another of that name."""
    found = sight.deployment
    if found is None or not is_longer(sight, idle_s):
        return
    if shorter(found.idle_s, idle_s) != found.idle_s:
        # Before the pods: gateways mark demand as often as this says, a sidecar stops as soon as its pod says.
        change = {"metadata": {"uid": found.uid, "annotations": {IDLE: str(idle_s)}}}
        cluster.note(await cluster.api.patch(DEPLOYMENTS, found.name, change))
    for pod in sight.pods:
        if not pod.deleting and shorter(pod.idle_s, idle_s) != pod.idle_s:
            with suppress(Missing):
                await cluster.api.patch(PODS, pod.name, {"metadata": {"annotations": {IDLE: str(idle_s)}}})
