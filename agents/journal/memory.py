"""The journal of a single process, in its memory."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agents.errors import FenceLost, JournalLost
from agents.journal.slices import Slice, slice_of

# An hour's turns are kept by the ten thousand: to look through them at each turn would cost more than the turn.
SWEEP_EVERY_S = 1.0


@dataclass(slots=True)
class _Entry:
    fence: int
    first: int
    expires_at: float
    events: list[str] = field(default_factory=list)

    @property
    def next(self) -> int:
        return self.first + len(self.events)


class MemoryJournal:
    """Keeps journals in a dict; what has expired is dropped when another is opened, and looked for once a second."""

    def __init__(self, *, open_ttl_s: float, final_ttl_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._entries: dict[str, _Entry] = {}
        self._open_ttl_s, self._final_ttl_s, self._clock = open_ttl_s, final_ttl_s, clock
        self._swept_at = clock()

    async def open(self, turn: str, *, fence: int, floor: int) -> tuple[int, bool]:
        """See Journal.open."""
        self._drop_expired()
        entry = self._alive(turn)
        if entry is None:
            self._entries[turn] = _Entry(fence, floor, self._clock() + self._open_ttl_s)
            return floor, False
        if entry.fence > fence:
            raise FenceLost
        entry.fence = fence
        entry.expires_at = self._clock() + self._open_ttl_s
        return entry.next, bool(entry.events)

    async def append(self, turn: str, events: Sequence[str], *, fence: int) -> int:
        """See Journal.append."""
        entry = self._alive(turn)
        if entry is None:
            raise JournalLost
        if entry.fence > fence:
            raise FenceLost
        entry.events.extend(events)
        return entry.next

    async def read(self, turn: str, *, after: int) -> Slice | None:
        """See Journal.read."""
        entry = self._alive(turn)
        if entry is None:
            return None
        first = min(max(after + 1, entry.first), entry.next)
        return slice_of(entry.events[first - entry.first :], first=first)

    async def finish(self, turn: str) -> None:
        """See Journal.finish."""
        entry = self._alive(turn)
        if entry is not None:
            entry.expires_at = self._clock() + self._final_ttl_s

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def _alive(self, turn: str) -> _Entry | None:
        entry = self._entries.get(turn)
        return entry if entry is not None and entry.expires_at > self._clock() else None

    def _drop_expired(self) -> None:
        now = self._clock()
        if now - self._swept_at < SWEEP_EVERY_S:
            return
        self._swept_at = now
        for turn in [turn for turn, entry in self._entries.items() if entry.expires_at <= now]:
            del self._entries[turn]
