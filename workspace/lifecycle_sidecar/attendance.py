"""The sidecar's loop in a pod, beside the server: look, and scale the Deployment to 0 when nobody uses it."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

from lifecycle_sidecar import observation
from lifecycle_sidecar.cluster import ClusterFailed, Conflict, Deployment
from lifecycle_sidecar.options import IdleTime, Options
from lifecycle_sidecar.policy import Activity, Reason, Terms
from lifecycle_sidecar.scale_down import ScaleDown
from lifecycle_sidecar.wakeups import Wakeups

logger = logging.getLogger(__name__)


def attend(options: Options, deployment: Deployment) -> int:
    """Watch the server until the kubelet ends this container; gives the exit status, 0."""
    wakeups = Wakeups()
    attendant = Attendant(options, deployment)
    logger.info("Watching the workspace %s/%s", deployment.namespace, deployment.name)
    while not wakeups.wait(options.poll_seconds):
        attendant.look()
    return 0


class Attendant:
    """One look after the other; asks the API server only when the server falls quiet and when it has been for long."""

    def __init__(
        self, options: Options, deployment: Deployment, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._options = options
        self._clock = clock
        self._deployment = deployment
        self._idle_time = IdleTime(options)
        # A node's sidecars see an API server fail in the same moment: they shall not come back in the same moment too.
        pause_s = options.poll_seconds * (1 + random.random())  # noqa: S311 - no secret
        self._plan = ScaleDown(_terms(options), first_pause_s=pause_s)

    def look(self) -> None:
        """Look at the server, and stop the workspace when its time has come."""
        self._plan.heed(self._idle_time.read())
        if self._plan.look(self._clock(), self._activity()):
            try:
                self._try_to_stop()
            except ClusterFailed as failure:
                logger.warning("The workspace goes on, the API server failed: %s", failure)
                self._plan.failed(self._clock())

    def _try_to_stop(self) -> None:
        version = self._deployment.version()
        # In this order: who comes after this look has written to the Deployment before, so the stop is refused.
        if self._plan.read(self._clock(), version) and self._plan.may_stop(self._clock(), self._activity()):
            self._stop(version)
            self._plan.answered(self._clock())

    def _stop(self, version: str) -> None:
        try:
            self._deployment.stop(version)
        except Conflict:
            logger.info("The workspace goes on: somebody came back")
        else:
            logger.info("Stopping the workspace: %s", Reason.IDLE.value)

    def _activity(self) -> Activity | None:
        url = self._options.activity_url
        return observation.read_activity(url) if url else None


def _terms(options: Options) -> Terms:
    longest_step_s = options.poll_seconds + observation.ANSWER_TIMEOUT_S
    return Terms(idle_s=options.idle_seconds, owner_timeout_s=None, longest_step_s=longest_step_s)
