"""A worker process's lease: as long as it is renewed, the rows that the process holds are its own.

Rows carry `holder` (the lease's id) and `fence` (a number that grows with each claim of the row). A row whose holder's
lease has run out may be claimed by anyone, and every write of a claim names its fence, so that a process which slept
through its lease can write no more.
"""

import os
import socket
import threading
from collections.abc import Callable
from typing import LiteralString
from uuid import UUID

import psycopg
import structlog

from gateway.db import conninfo
from gateway.ids import new_uuid

LEASE_S = 10
RENEW_EVERY_S = 2.0

log = structlog.get_logger(__name__)


def holder_alive(table: LiteralString) -> LiteralString:
    """The SQL condition that the holder of a row of `table` (a name of our own code) has a live lease."""
    return f"EXISTS (SELECT 1 FROM worker_leases l WHERE l.id = {table}.holder AND l.expires_at > clock_timestamp())"


class Lease:
    """A lease of 10 s, renewed every 2 s from its own thread and connection.

    The thread keeps a process with a busy event loop alive, and a stopped process dead. `lost` is set, and `on_lost` called
    in the thread, once the lease could not be kept; the process must then give up the rows it holds.
    """

    def __init__(self, name: str = "") -> None:
        self.id: UUID = new_uuid()
        self.name = name or f"{socket.gethostname()}:{os.getpid()}"
        self.lost = threading.Event()
        self._stop = threading.Event()
        self._on_lost: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def acquire(self) -> None:
        """Write the lease and begin to renew it; raises psycopg.Error when the database can't be reached."""
        with psycopg.connect(conninfo(), autocommit=True) as conn:
            conn.execute("DELETE FROM worker_leases WHERE expires_at < clock_timestamp() - interval '1 day'")
            conn.execute(
                "INSERT INTO worker_leases (id, name, expires_at) VALUES (%s, %s, clock_timestamp() + %s * interval '1 s')",
                (self.id, self.name, LEASE_S),
            )
        self._thread.start()

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Call `callback`, from the lease's thread, when the lease is lost."""
        self._on_lost.append(callback)

    def release(self) -> None:
        """Give the lease back at once, so that nobody waits for it to run out."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=RENEW_EVERY_S * 2)
        try:
            with psycopg.connect(conninfo(), autocommit=True, connect_timeout=2) as conn:
                conn.execute("DELETE FROM worker_leases WHERE id = %s", (self.id,))
        except psycopg.Error as error:
            log.warning("lease_not_released", error=type(error).__name__)

    def _keep(self) -> None:
        conn: psycopg.Connection | None = None
        while not self._stop.wait(RENEW_EVERY_S):
            try:
                conn = conn or psycopg.connect(conninfo(), autocommit=True, connect_timeout=2)
                kept = self._renew(conn)
            except psycopg.Error as error:
                log.warning("lease_renewal_failed", error=type(error).__name__)
                _close(conn)
                conn, kept = None, None
            if kept is False:
                self._lose()
                break
        _close(conn)

    def _renew(self, conn: psycopg.Connection) -> bool:
        """Prolong a lease that still runs; False when it has run out, since its rows may have been taken over."""
        cursor = conn.execute(
            "UPDATE worker_leases SET expires_at = clock_timestamp() + %s * interval '1 s'"
            " WHERE id = %s AND expires_at > clock_timestamp()",
            (LEASE_S, self.id),
        )
        return cursor.rowcount == 1

    def _lose(self) -> None:
        log.error("lease_lost", name=self.name)
        self.lost.set()
        for callback in self._on_lost:
            callback()


def _close(conn: psycopg.Connection | None) -> None:
    if conn is not None:
        conn.close()
