"""The session of Discord's Gateway, kept over restarts: what is written meanwhile is sent again to whoever resumes it.

One process has it at a time, by a lock of the database that ends with its connection; a second one listens beside it with a
session of its own, which is not kept.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass

import psycopg
import structlog
from psycopg.types.json import Jsonb

from channels_app.channels._discord.gateway import Session
from gateway.db import connection, conninfo

# Any number, as long as nothing else in the database uses it for an advisory lock.
_OWNING = 0x64697363
# Discord forgets a session that nobody resumes within some minutes.
MOST_AGE_MINUTES = 60

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sessions:
    """The kept session of this process' bot; without `owner` nothing is read or written."""

    owner: bool

    async def take(self) -> Session:
        """The session to resume; an empty one when there is none."""
        if not self.owner:
            return Session()
        async with connection() as conn:
            cursor = await conn.execute(
                "DELETE FROM discord_sessions RETURNING session, saved_at > clock_timestamp() - %s * interval '1 minute'",
                (MOST_AGE_MINUTES,),
            )
            row = await cursor.fetchone()
        return Session(**row[0]) if row and row[1] else Session()

    async def keep(self, session: Session) -> None:
        """Keep a session as it is now. While the database is away nothing is kept: the next message does that."""
        if not self.owner or not session.id:
            return
        try:
            async with connection() as conn:
                await conn.execute(
                    "INSERT INTO discord_sessions (id, session, saved_at) VALUES (1, %s, clock_timestamp())"
                    " ON CONFLICT (id) DO UPDATE SET session = excluded.session, saved_at = excluded.saved_at",
                    (Jsonb(asdict(session)),),
                )
        except psycopg.Error as error:
            log.warning("discord_session_not_kept", error=type(error).__name__)


@asynccontextmanager
async def owning() -> AsyncIterator[Sessions]:
    """The sessions for the time of the block. Raises psycopg.Error when the database is away."""
    async with await psycopg.AsyncConnection.connect(conninfo(direct=True), autocommit=True) as conn:
        cursor = await conn.execute("SELECT pg_try_advisory_lock(%s)", (_OWNING,))
        row = await cursor.fetchone()
        yield Sessions(owner=bool(row and row[0]))
