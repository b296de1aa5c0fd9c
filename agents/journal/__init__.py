"""The journal of a turn: its events in order, for whoever watches, while it runs and 10 minutes after.

Two twins keep it: Redis when REDIS_URL is set (any number of processes), memory otherwise (one process). An event is kept
as the JSON text of its frame without `seq`; a reader adds the number, so that writer and store never disagree about it.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol
from weakref import WeakKeyDictionary

from django.conf import settings

from agents.journal.memory import MemoryJournal
from agents.journal.slices import Slice

# A turn that nobody finishes (its worker died for good) must not stay for ever.
OPEN_TTL_S = 24 * 3600
# A client that comes back within this time gets the rest of a finished turn, event by event.
FINAL_TTL_S = 600


__all__ = ["FINAL_TTL_S", "OPEN_TTL_S", "Journal", "Slice", "clear_memory", "journal"]


class Journal(Protocol):
    """What both twins promise; one contract test runs over them."""

    async def open(self, turn: str, *, fence: int, floor: int) -> tuple[int, bool]:
        """Claim the writing of a turn's journal; a missing one is made, with `floor` as its first number.

        Returns the next number and whether the journal holds events. Raises FenceLost when a higher fence has opened it.
        """

    async def append(self, turn: str, events: Sequence[str], *, fence: int) -> int:
        """Add events (JSON objects as text) and return the next number.

        Raises FenceLost when a higher fence has opened the journal, JournalLost when there is none.
        """

    async def read(self, turn: str, *, after: int) -> Slice | None:
        """The events numbered past `after`; None when there is no journal (any more)."""

    async def finish(self, turn: str) -> None:
        """Keep the journal for FINAL_TTL_S more."""


_memory = MemoryJournal(open_ttl_s=OPEN_TTL_S, final_ttl_s=FINAL_TTL_S)
_redis: "WeakKeyDictionary[asyncio.AbstractEventLoop, Journal]" = WeakKeyDictionary()


def journal() -> Journal:
    """The journal of this process: Redis when REDIS_URL is set, memory otherwise."""
    if not settings.REDIS_URL:
        return _memory
    loop = asyncio.get_running_loop()
    if loop not in _redis:
        from agents.journal.redis import RedisJournal  # noqa: PLC0415 - not needed without REDIS_URL

        _redis[loop] = RedisJournal.connect(settings.REDIS_URL, open_ttl_s=OPEN_TTL_S, final_ttl_s=FINAL_TTL_S)
    return _redis[loop]


def clear_memory() -> None:
    """Forget every journal of this process (as its death would)."""
    _memory.clear()
