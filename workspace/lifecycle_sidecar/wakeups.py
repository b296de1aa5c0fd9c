"""Waiting for time to pass or a signal to come."""

from __future__ import annotations

import os
import select
import signal

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Wakeups:
    """Waits for time to pass or a signal to come."""

    def __init__(self) -> None:
        self._reader, writer = os.pipe()
        for end in (self._reader, writer):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (*STOP_SIGNALS, signal.SIGCHLD):
            # Any handler will do: the number arrives through the pipe.
            signal.signal(number, lambda *_: None)

    def wait(self, timeout_s: float) -> bool:
        """Wait for at most `timeout_s` seconds, less when a signal comes; True when it is one to stop."""
        readable, _, _ = select.select([self._reader], [], [], timeout_s)
        return bool(readable) and any(number in STOP_SIGNALS for number in os.read(self._reader, 256))
