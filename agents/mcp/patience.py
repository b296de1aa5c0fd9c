"""How long a call may take: so many seconds without a sign of life, and so many altogether."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Patience:
    """The wall clock of one call. A call that gives no sign of life has `silent_s` seconds, others at most `whole_s`."""

    def __init__(self, silent_s: float, *, whole_s: float = 0.0) -> None:
        self._silent_s, self._whole_s = silent_s, max(silent_s, whole_s)
        self._end = 0.0
        self._timeout: asyncio.Timeout | None = None
        self._seen_alive = False

    @asynccontextmanager
    async def bounded(self) -> AsyncIterator[None]:
        """The time of the call. Raises TimeoutError when it is over."""
        now = asyncio.get_running_loop().time()
        self._end = now + self._whole_s
        try:
            async with asyncio.timeout_at(now + self._silent_s) as self._timeout:
                yield
        finally:
            self._timeout = None

    def alive(self) -> None:
        """The call has reported progress; nothing once its time is over, since reports may come late."""
        if self._timeout is None or self._timeout.expired():
            return
        self._seen_alive = True
        self._timeout.reschedule(min(self._end, asyncio.get_running_loop().time() + self._silent_s))

    @property
    def verdict(self) -> str:
        """Why a call was stopped, in words."""
        if self._seen_alive and asyncio.get_running_loop().time() < self._end:
            return f"It reported no progress for {self._silent_s:g} s and was stopped."
        return f"It did not finish within {self._whole_s if self._seen_alive else self._silent_s:g} s and was stopped."
