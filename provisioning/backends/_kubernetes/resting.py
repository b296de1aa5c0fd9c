"""How long the API server has asked to be left alone: what it tells one call holds for all of the process.

All calls are of one user, and so of one flow of its own: https://kubernetes.io/docs/concepts/cluster-administration/flow-control/
"""

import time
from collections.abc import Callable

from provisioning.backends._kubernetes.errors import Away


class Rest:
    """Until when nothing is sent, and what was said of it."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = float("-inf")
        self._asked: Away | None = None

    def heed(self, failed: Exception) -> None:
        """Take in what a call has ended with."""
        if isinstance(failed, Away) and failed.retry_after_s > 0:
            until = self._clock() + failed.retry_after_s
            if until > self._until:
                self._until, self._asked = until, failed

    def require_over(self, about: str) -> None:
        """Raises Away, with what is left of it, while the API server wants no call."""
        left_s = self._until - self._clock()
        if self._asked is not None and left_s > 0:
            raise Away(self._asked.message, about=about, status=self._asked.status, retry_after_s=left_s)
