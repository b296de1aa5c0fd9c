"""Whether this process keeps up with what it has taken on.

Every turn in flight needs the event loop many times a second. Once the loop comes late to each of them, one more turn makes
all answers stutter; left in the queue, it goes to a process that has time, or waits a moment.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

BEAT_S = 0.05
# A reader sees a pause of a tenth of a second; each piece of text passes through the loop some three times.
LATE_S = 0.03
# Beats that are looked at: a single long one is an import, or the collector.
BEATS = 4


class Pulse:
    """Beats in the event loop and sees how late each beat is."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock or asyncio.get_running_loop().time
        self._sleep = sleep
        self._late: deque[float] = deque(maxlen=BEATS)

    @property
    def late(self) -> bool:
        """Whether the loop came late, most of the last beats."""
        return sum(late_s > LATE_S for late_s in self._late) > BEATS // 2

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            began = self._clock()
            await self._sleep(BEAT_S)
            self._late.append(self._clock() - began - BEAT_S)
