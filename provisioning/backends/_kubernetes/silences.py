"""How long a server that runs has not answered the kubelet, as this process saw it: no two clocks are compared."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from provisioning.backends._kubernetes.views import PodView


@dataclass(frozen=True)
class _Silence:
    """`turned` is when the pod became unready, so that one that was ready in between, unheard, is another silence."""

    uid: str
    turned: str
    since: float


class Silences:
    """Since when the server of each workspace is silent."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, _Silence] = {}

    def saw(self, workspace: str, pod: PodView | None) -> None:
        """This is the workspace's pod that counts, None = it has none."""
        if pod is None or not pod.silent:
            self._known.pop(workspace, None)
            return
        known = self._known.get(workspace)
        if known is None or (known.uid, known.turned) != (pod.uid, pod.turned):
            self._known[workspace] = _Silence(pod.uid, pod.turned, self._clock())

    def lasted_s(self, pod: PodView) -> float:
        """How long the pod's server has been silent; 0 for one that is not, or that was not seen so."""
        known = self._known.get(pod.workspace)
        return self._clock() - known.since if known is not None and known.uid == pod.uid else 0.0
