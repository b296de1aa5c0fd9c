"""When a Deployment is scaled to 0: the steps around the idle time, without clocks or sockets.

A gateway that wants the workspace writes to its Deployment first (the annotation `dexorder.io/demand-at`) and asks the
server then. Each write gives the Deployment a new resourceVersion, so that is the mark of demand: it has to be the same
from the moment the server fell quiet until the API server takes the stop, which carries it as its precondition.

    look … look       activity stays the same      → read the version: the idle time begins
    look … look       for the whole idle time      → read the version: it is still the same
    look once more    activity, after that reading → stop, if nobody has written since
"""

from __future__ import annotations

from lifecycle_sidecar.policy import Activity, Reason, Sighting, Terms, Watch

# Between two tries while the API server fails: at first one look, then twice as long each time, up to this.
LONGEST_PAUSE_S = 300.0


class ScaleDown:
    """Remembers how long the server has been quiet, and which version its Deployment had meanwhile.

    `first_pause_s` is the pause after the first failure.
    """

    def __init__(self, terms: Terms, *, first_pause_s: float) -> None:
        self._watch = Watch(terms)
        self._never = terms.idle_s == 0
        self._version: str | None = None
        self._first_pause_s = first_pause_s
        self._pause_s = 0.0
        self._resume_at = float("-inf")

    def heed(self, idle_s: float) -> None:
        """Have another idle time from now on, 0 = never."""
        self._watch.heed(idle_s)
        self._never = idle_s == 0

    def look(self, now: float, activity: Activity | None) -> bool:
        """Take in what the server said at the monotonic time `now`; True = read the Deployment's version now."""
        reason = self._watch.look(now, Sighting(activity, None))
        if not self._watch.quiet or self._never:
            self._version = None
            return False
        unread = self._version is None and activity is not None
        return now >= self._resume_at and (unread or reason is Reason.IDLE)

    def read(self, now: float, version: str) -> bool:
        """Take in the version that was read; True = look once more and stop. Otherwise the idle time begins here."""
        if version == self._version:
            return True
        self._watch.begin_anew(now)
        self._version = version
        self._pause_s = 0.0
        return False

    def may_stop(self, now: float, activity: Activity | None) -> bool:
        """Whether the last look, after the version was read, still says idle."""
        return self._watch.look(now, Sighting(activity, None)) is Reason.IDLE

    def failed(self, now: float) -> None:
        """The API server didn't answer, or not as it should: leave it alone for longer each time."""
        self._pause_s = min(max(self._first_pause_s, 2 * self._pause_s), LONGEST_PAUSE_S)
        self._resume_at = now + self._pause_s

    def answered(self, now: float) -> None:
        """The stop was taken or refused. The idle time begins anew even when it was taken: whoever scales up in the same
        moment keeps this pod.
        """
        self._watch.begin_anew(now)
        self._version = None
        self._pause_s = 0.0
