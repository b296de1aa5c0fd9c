"""When a socket's token runs out: warn, then close, unless the client renews it."""

import asyncio
import math
from datetime import UTC, datetime

from channels_app.protocol.server import Expiring
from channels_app.socket.closing import SESSION_EXPIRED
from channels_app.socket.outlet import Outlet

WARN_S = 60.0
# The wall clock may jump (a laptop wakes); it is looked at this often.
LOOK_EVERY_S = 30.0


class Expiry:
    """Watches the time of one session."""

    def __init__(self, expires_at: datetime, outlet: Outlet) -> None:
        self._expires_at, self._outlet = expires_at, outlet
        self._renewed = asyncio.Event()

    def renew(self, expires_at: datetime) -> None:
        """The session now ends at `expires_at`."""
        self._expires_at = expires_at
        self._renewed.set()

    async def run(self) -> None:
        """Warn 60 s before the end (at once when there is less) and close at the end."""
        while True:
            self._renewed.clear()
            if await self._renewed_within(WARN_S):
                continue
            await self._outlet.put(Expiring(seconds=max(0, math.ceil(self._left_s()))))
            if not await self._renewed_within(0.0):
                await self._outlet.close(SESSION_EXPIRED)
                return

    async def _renewed_within(self, remaining_s: float) -> bool:
        """Wait until `remaining_s` are left; whether the session was renewed before."""
        while (wait_s := self._left_s() - remaining_s) > 0:
            try:
                async with asyncio.timeout(min(wait_s, LOOK_EVERY_S)):
                    await self._renewed.wait()
            except TimeoutError:
                continue
            return True
        return self._renewed.is_set()

    def _left_s(self) -> float:
        return (self._expires_at - datetime.now(UTC)).total_seconds()
