"""The cluster's time: it stands still until a test moves it, or it is the machine's own."""

import heapq
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime

Action = Callable[[], None]

# Any moment would do; a fixed one makes a virtual run repeatable.
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC).timestamp()

# Far more than a cluster's controllers need to come to rest; a loop without an end is a defect in the fake.
MOST_STEPS = 2_000_000


class Clock:
    """Runs actions in the order of their time. Nothing here sleeps: whoever owns the clock calls `run_due`."""

    def __init__(self, *, virtual: bool = True) -> None:
        self.virtual = virtual
        self._now = BEGINNING
        self._order = itertools.count()
        self._waiting: list[tuple[float, int, Action]] = []

    def now(self) -> float:
        """Seconds since 1970."""
        return self._now if self.virtual else time.time()

    def timestamp(self, later_s: float = 0.0) -> str:
        """The time (or one a little later) as objects carry it, in whole seconds."""
        return datetime.fromtimestamp(int(self.now() + later_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def call_later(self, delay_s: float, action: Action) -> None:
        """Run the action when `delay_s` have passed; actions of the same moment run in the order they came."""
        heapq.heappush(self._waiting, (self.now() + delay_s, next(self._order), action))

    def next_due(self) -> float | None:
        """When the next action is due, None when none waits."""
        return self._waiting[0][0] if self._waiting else None

    def run_due(self) -> None:
        """Run what is due now, and what that makes due."""
        for _ in range(MOST_STEPS):
            if not self._waiting or self._waiting[0][0] > self.now():
                return
            heapq.heappop(self._waiting)[2]()
        raise RuntimeError("the controllers don't come to rest")

    def advance(self, seconds: float) -> None:
        """Let virtual time pass, action by action."""
        until = self._now + seconds
        while self._waiting and self._waiting[0][0] <= until:
            self._now = max(self._now, self._waiting[0][0])
            self.run_due()
        self._now = until
