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
    """Watches the time of one session: warns 60 s before its end (at once when there is less), and closes the socket at it."""

    def __init__(self, expires_at: datetime, outlet: Outlet) -> None:
        self._expires_at, self._outlet = expires_at, outlet
        self._warned = False
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Watch until `end`."""
        self._look()

    def renew(self, expires_at: datetime) -> None:
        """The session now ends at `expires_at`."""
        self._expires_at, self._warned = expires_at, False
        if self._timer is not None:
            self._timer.cancel()
            self._look()

    def end(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        left_s = (self._expires_at - datetime.now(UTC)).total_seconds()
        if left_s <= WARN_S and not self._warned:
            self._warned = True
            self._outlet.push(Expiring(seconds=max(0, math.ceil(left_s))))
        if left_s <= 0:
            self._outlet.close(SESSION_EXPIRED)
            return
        next_s = left_s if self._warned else left_s - WARN_S
        self._timer = asyncio.get_running_loop().call_later(min(next_s, LOOK_EVERY_S), self._look)
