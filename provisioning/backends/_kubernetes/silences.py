"""How long a server that runs has not answered the kubelet, as this process saw it: no two clocks are compared."""

import time
from collections.abc import Callable

from provisioning.backends._kubernetes.views import PodView


class Silences:
    """Since when the server of each workspace has been silent, or booting."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[object, float]] = {}

    def saw(self, workspace: str, pod: PodView | None) -> None:
        """This is the workspace's pod that counts, None = it has none."""
        silence = pod.silence if pod is not None else None
        if silence is None:
            self._known.pop(workspace, None)
        elif workspace not in self._known or self._known[workspace][0] != silence:
            self._known[workspace] = silence, self._clock()

    def lasted_s(self, pod: PodView) -> float:
        """How long the pod's server has been silent; 0 for one that is not, or that was not seen so."""
        silence, since = self._known.get(pod.workspace, (None, 0.0))
        return self._clock() - since if silence is not None and silence == pod.silence else 0.0
