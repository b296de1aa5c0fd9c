"""The sidecar's loop: look, decide, wait."""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import time

from lifecycle_sidecar import child as server
from lifecycle_sidecar.observation import ANSWER_TIMEOUT_S, activity_url, heartbeat, read_activity
from lifecycle_sidecar.options import Options
from lifecycle_sidecar.policy import Reason, Sighting, Terms, Watch

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

logger = logging.getLogger(__name__)


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


def supervise(options: Options) -> int:
    """Run the server until it ends or has to; gives the exit status: the server's own, 0 when it was stopped.

    Raises OSError when the command can't be run.
    """
    wakeups = Wakeups()
    child = server.spawn(options.command)
    logger.info("Started %s as process %d", options.command[0], child.pid)
    watch = Watch(_terms(options))
    reason: Reason | None = None
    while reason is None:
        told = wakeups.wait(options.poll_seconds)
        if child.poll() is not None:
            logger.warning("The server ended by itself with %d", child.returncode)
            return server.exit_status(child.returncode)
        reason = Reason.TOLD if told else watch.look(time.monotonic(), _look(options, child))
    logger.info("Stopping the workspace: %s", reason.value)
    server.end(child, grace_s=options.grace_seconds)
    return 0


def _terms(options: Options) -> Terms:
    return Terms(
        idle_s=options.idle_seconds,
        owner_timeout_s=options.owner_timeout_seconds if options.owner_file else None,
        longest_step_s=options.poll_seconds + ANSWER_TIMEOUT_S,
    )


def _look(options: Options, child: subprocess.Popen[bytes]) -> Sighting:
    url = options.activity_url
    if options.activity_file is not None:
        url = activity_url(options.activity_file, pid=child.pid)
    return Sighting(
        activity=read_activity(url) if url else None,
        heartbeat=heartbeat(options.owner_file) if options.owner_file else None,
    )
