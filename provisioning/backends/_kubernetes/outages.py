"""Since when the server of a workspace that shall run has not run, or not answered: as this process saw it. Pure."""

from dataclasses import dataclass
from datetime import datetime

from provisioning.backends._kubernetes.cluster import Sight
from provisioning.backends._kubernetes.judging import is_broken
from provisioning.backends._kubernetes.views import PodView


@dataclass(frozen=True)
class Outage:
    """`ends` is the pod that was seen last, and how often its server had been started again."""

    since: datetime
    ends: tuple[str, int]


def outage_of(sight: Sight, before: Outage | None, *, now: datetime) -> Outage | None:
    """What there is of an outage; None when it is over, or there is none.

    A server that crashes runs between two crashes: only one that was not started again since the last look goes on well. One
    that is silent, boots, is behind a sidecar that crashes, or on a node that nothing is heard of runs, and may be of use again.
    """
    pod = sight.pod
    server = pod.server if pod is not None else None
    ends = (pod.uid if pod is not None else "", server.restarts if server is not None else 0)
    if not sight.up or (pod is not None and pod.ready):
        return None
    if pod is not None and _goes_on_well(pod) and (before is None or before.ends == ends):
        return None
    return Outage(before.since if before is not None else now, ends)


def _goes_on_well(pod: PodView) -> bool:
    return pod.at_work and not pod.silent and not pod.stranded and not is_broken(pod)
