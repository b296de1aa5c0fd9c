"""When a workspace stops: a state machine over what each look saw, without clocks, files or sockets.

Nothing here compares two clocks. The server's times and the owner's heartbeat are marks that change or don't, and only
the time between two looks is counted, by the sidecar's own monotonic clock and never more than a bound for one step:
neither a wall clock that jumps nor a machine that slept can end a workspace early.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum


class Reason(Enum):
    """Why a workspace is stopped; the value is for the log."""

    IDLE = "nobody used it"
    OWNER_GONE = "its owner is gone and nobody adopted it"
    TOLD = "the sidecar was told to"


@dataclass(frozen=True, slots=True)
class Activity:
    """What the server said: useful requests in flight, and when the last one was, by the server's clock.

    `backtests` run, asked for by a request that may have gone; `kept` are live deployments that the user asked to keep.
    """

    in_flight: int
    last_useful: float
    backtests: int = 0
    kept: int = 0

    @property
    def busy(self) -> bool:
        """Whether something is at work that a stop would cut."""
        return self.in_flight > 0 or self.backtests > 0 or self.kept > 0


@dataclass(frozen=True, slots=True)
class Sighting:
    """One look. `activity` is None when the server didn't answer, `heartbeat` when the owner's file is missing."""

    activity: Activity | None
    heartbeat: int | None


@dataclass(frozen=True, slots=True)
class Terms:
    """How long is too long, in seconds. `idle_s` 0 = never idle; `owner_timeout_s` None = there is no owner to watch.

    `longest_step_s` bounds what one step between two looks counts.
    """

    idle_s: float
    owner_timeout_s: float | None
    longest_step_s: float


class Watch:
    """Remembers how long the server has been quiet and the owner silent."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._looked: float | None = None
        self._before = Sighting(None, None)
        self._quiet_s = 0.0
        self._silent_s = 0.0

    def look(self, now: float, sighting: Sighting) -> Reason | None:
        """Take in one look at the monotonic time `now`; gives the reason to stop, None to go on."""
        elapsed = now - self._looked if self._looked is not None else 0.0
        step = min(max(elapsed, 0.0), self._terms.longest_step_s)
        self._quiet_s = self._quiet_after(step, sighting.activity)
        self._silent_s = self._silent_s + step if sighting.heartbeat == self._before.heartbeat else 0.0
        self._looked = now
        self._before = Sighting(sighting.activity or self._before.activity, sighting.heartbeat)
        return self._decide(sighting)

    @property
    def quiet(self) -> bool:
        """Whether some of the idle time has passed."""
        return self._quiet_s > 0

    def heed(self, idle_s: float) -> None:
        """From now on this is how long is too long; the time that has passed counts."""
        self._terms = replace(self._terms, idle_s=idle_s)

    def begin_anew(self, now: float) -> None:
        """Begin the idle time anew at the monotonic time `now`."""
        self._quiet_s = 0.0
        self._looked = now

    def _quiet_after(self, step: float, activity: Activity | None) -> float:
        if activity is None:
            return self._quiet_s
        if activity.busy or activity != self._before.activity:
            return 0.0
        return self._quiet_s + step

    def _decide(self, sighting: Sighting) -> Reason | None:
        timeout_s = self._terms.owner_timeout_s
        if timeout_s is not None and self._silent_s >= timeout_s:
            return Reason.OWNER_GONE
        # A server that doesn't answer may be busy: only one that says it is quiet is stopped.
        if sighting.activity is not None and 0 < self._terms.idle_s <= self._quiet_s:
            return Reason.IDLE
        return None
