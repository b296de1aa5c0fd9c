"""The thread that steps paper deployments while the server runs."""

from __future__ import annotations

import logging
import threading

from mcp_server.deployments.desk import Desk

# Imports wake it at once; this is for bars that come in no other way, and far below the shortest bar, a minute.
POLL_S = 20.0
# After a failure, until the next try.
RETRY_S = 5.0
# What it is doing when the server ends is cut after this; a step that is not on disk is done at the next start.
JOIN_S = 2.0

logger = logging.getLogger(__name__)


class Stepper:
    """Steps every running deployment at start, when it is woken and every 20 seconds."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="stepper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self, _symbol: str = "") -> None:
        """Say that there are new bars."""
        self._news.set()

    def stop(self) -> None:
        """End the thread, after the step that it is at when that is quick."""
        self._stopping.set()
        self._news.set()
        self._thread.join(JOIN_S)

    def _loop(self) -> None:
        while not self._stopping.is_set():
            self._news.clear()
            well = self._round()
            self._news.wait(POLL_S if well else RETRY_S)

    def _round(self) -> bool:
        try:
            return self._desk.step_all(self._stopping.is_set)
        except Exception:  # the next round may go well: a full disk, a bar file that is being replaced
            if not self._stopping.is_set():
                logger.exception("Paper deployments could not be stepped")
            return False
