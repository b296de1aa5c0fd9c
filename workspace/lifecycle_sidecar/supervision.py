"""The sidecar's loop as the parent of the server: look, decide, wait."""

from __future__ import annotations

import logging
import subprocess
import time

from lifecycle_sidecar import child as server
from lifecycle_sidecar.observation import ANSWER_TIMEOUT_S, activity_url, heartbeat, read_activity
from lifecycle_sidecar.options import IdleTime, Options
from lifecycle_sidecar.policy import Reason, Sighting, Terms, Watch
from lifecycle_sidecar.wakeups import Wakeups

logger = logging.getLogger(__name__)


def supervise(options: Options) -> int:
    """Run the server until it ends or has to; gives the exit status: the server's own, 0 when it was stopped.

    Raises OSError when the command can't be run.
    """
    wakeups = Wakeups()
    child = server.spawn(options.command)
    logger.info("Started %s as process %d", options.command[0], child.pid)
    watch = Watch(_terms(options))
    idle_time = IdleTime(options)
    reason: Reason | None = None
    while reason is None:
        told = wakeups.wait(options.poll_seconds)
        if child.poll() is not None:
            logger.warning("The server ended by itself with %d", child.returncode)
            return server.exit_status(child.returncode)
        watch.heed(idle_time.read())
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
