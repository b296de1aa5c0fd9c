"""Without REDIS_URL one process of the gateway serves a database: it holds a lock, and says in it where it is."""

import os
import platform
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import psycopg
from django.conf import settings

from gateway.db import conninfo

# Any number under 2^32, as long as nothing else in the database uses it for an advisory lock.
LOCK = 0x6465786F
# PostgreSQL cuts an application_name at 63 bytes.
_HOST_CHARS = 30
_TOLD = re.compile(r"gateway process=(\d+) port=(\d+) host=(.*)")
_HOLDER = (
    "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted"
    " AND classid = 0 AND objid = %s AND objsubid = 1"
    " AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds the lock; `port` is 0 for one that serves no pages."""

    process: int
    port: int
    host: str

    def __str__(self) -> str:
        if self.host != _host():
            return f"It is process {self.process} on {self.host}."
        at = f"at http://localhost:{self.port}/ " if self.port else ""
        return f"It runs {at}as process {self.process}: Ctrl-C in its terminal or `kill {self.process}` stops it."


class NotAlone(Exception):
    """Another process of the gateway runs on this database."""

    def __init__(self, holder: Holder | None) -> None:
        where = f" {holder}" if holder else ""
        super().__init__(f"{self.__doc__}{where} With REDIS_URL set, several can share the work.")


@contextmanager
def alone(*, port: int = 0) -> Iterator[None]:
    """Without REDIS_URL, be the only process of the gateway; `port` tells others where it serves.

    A lock of the session, so that a killed process is never in the way. Raises NotAlone, and psycopg.Error.
    """
    if settings.REDIS_URL:
        yield
        return
    name = f"gateway process={os.getpid()} port={port} host={_host()}"
    with closing(psycopg.connect(conninfo(direct=True), autocommit=True, application_name=name)) as conn:
        row = conn.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,)).fetchone()
        if row is None or not row[0]:
            raise NotAlone(_holder(conn))
        yield


def _holder(conn: psycopg.Connection) -> Holder | None:
    row = conn.execute(_HOLDER, (LOCK,)).fetchone()
    # NULL where the role may not see the other's sessions.
    found = _TOLD.fullmatch((row[0] or "") if row else "")
    return Holder(int(found[1]), int(found[2]), found[3]) if found else None


def _host() -> str:
    return platform.node()[:_HOST_CHARS]
