"""What the jobs of a tier may use together, and how they wait for their turn."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from mcp_server.errors import OutOfTime
from mcp_server.sandbox.jobs import MIB, Limits

LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Budget:
    """How many jobs run at once and what each may use at most."""

    at_once: int
    memory_bytes: int
    output_bytes: int
    disk_bytes: int

    def lower(self, limits: Limits) -> Limits:
        """The limits, none above this budget's."""
        return replace(
            limits,
            cpu_s=min(limits.cpu_s, limits.wall_s),
            memory_bytes=min(limits.memory_bytes, self.memory_bytes),
            output_bytes=min(limits.output_bytes, self.output_bytes),
            disk_bytes=min(limits.disk_bytes, self.disk_bytes),
        )


# Of a free workspace's 512 MiB the server has 120 and the zygote, with every library, 150 of its own and 90 of mapped files
# that the kernel can drop. A job may add 96. Were it to write within 20 ms to every page that it shares with the zygote,
# unseen, it would have 150 more: 516 without the mapped files, of which the kernel ends the job first. The others have 2 and
# 4 GiB.
BUDGETS = {
    "free": Budget(at_once=1, memory_bytes=96 * MIB, output_bytes=8 * MIB, disk_bytes=16 * MIB),
    "pro": Budget(at_once=2, memory_bytes=512 * MIB, output_bytes=32 * MIB, disk_bytes=64 * MIB),
    "enterprise": Budget(at_once=4, memory_bytes=640 * MIB, output_bytes=32 * MIB, disk_bytes=64 * MIB),
}


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a job stands in the queue: nobody waits for a patient one, so all others go before it."""

    patient: bool
    number: int


class Turns:
    """Lets so many run at once; the others wait, first come first served."""

    def __init__(self, at_once: int) -> None:
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._waiting: set[Place] = set()
        self._free = at_once
        self._taken = 0

    @property
    def running(self) -> int:
        """How many hold a turn."""
        return self._taken

    @contextmanager
    def taken(self, *, deadline: float, stop: Callable[[], None], patient: bool = False) -> Iterator[None]:
        """Hold a turn. Raises OutOfTime when none is free before `deadline` (time.monotonic), and what `stop` raises."""
        place = Place(patient, next(self._numbers))
        with self._changed:
            self._waiting.add(place)
        try:
            self._wait(place, deadline=deadline, stop=stop)
        except BaseException:
            self._leave(place)
            raise
        try:
            yield
        finally:
            self._give_back()

    def _wait(self, place: Place, *, deadline: float, stop: Callable[[], None]) -> None:
        while not self._take(place):
            stop()
            if time.monotonic() > deadline:
                raise OutOfTime(
                    "Other computations of this workspace took all the time. Try again when they have ended."
                )

    def _take(self, place: Place) -> bool:
        """Whether it came to this place's turn within a moment."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._free > 0 and min(self._waiting) == place, LOOK_EVERY_S):
                return False
            self._waiting.remove(place)
            self._free -= 1
            self._taken += 1
            self._changed.notify_all()
            return True

    def _leave(self, place: Place) -> None:
        with self._changed:
            self._waiting.discard(place)
            self._changed.notify_all()

    def _give_back(self) -> None:
        with self._changed:
            self._free += 1
            self._taken -= 1
            self._changed.notify_all()
