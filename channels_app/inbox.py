"""Messages with files: stored before they are acknowledged, and accepted once their files are here.

A platform waits three seconds for its answer, and a file may take longer. A row is claimed under its process's lease; a second
post of the message finds the row. The pieces of an album are gathered in the row of the first; the others' stand for themselves.
"""

from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from channels_app.channels import File, Inbound
from gateway.db import Connection, connection, notify
from gateway.leases import holder_alive

MOST_ATTEMPTS = 3
# Before the second and the third attempt, in seconds.
AGAIN_AFTER_S = 5
# Telegram tells of no last piece: an album is whole when no other has come for so long, in seconds.
ALBUM_QUIET_S = 1.5
_CLAIM = f"""
    UPDATE chat_inbox SET holder = %(holder)s, attempts = attempts + 1 WHERE id IN (
        SELECT i.id FROM chat_inbox i WHERE i.message IS NOT NULL AND i.run_after <= clock_timestamp()
            AND (i.holder IS NULL OR i.holder = %(holder)s OR NOT {holder_alive("i")})
        ORDER BY i.id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
    RETURNING id, channel, user_id, message, attempts
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """A message whose files are to be fetched; `message` is an Inbound as JSON."""

    id: int
    channel: str
    user_id: str
    message: dict[str, Any]
    attempts: int

    @property
    def inbound(self) -> Inbound:
        """The message."""
        files = tuple(File(**file) for file in self.message["files"])
        return Inbound(**(self.message | {"files": files}))

    @property
    def last_attempt(self) -> bool:
        """Whether what fails now is given up."""
        return self.attempts >= MOST_ATTEMPTS


async def keep(channel: str, inbound: Inbound, *, user_id: str) -> bool:
    """Store a message, or add it to the rest of its album; False when it was stored before. Raises psycopg.Error."""
    async with connection() as conn, conn.transaction():
        first = await _first_of_album(conn, channel, inbound, user_id=user_id) if inbound.album else None
        cursor = await conn.execute(
            "INSERT INTO chat_inbox (channel, external_id, user_id, album, message, run_after)"
            " VALUES (%s, %s, %s, %s, %s, clock_timestamp() + %s * interval '1 second')"
            " ON CONFLICT (channel, external_id) DO NOTHING",
            (
                channel, inbound.external_id, user_id, inbound.album, None if first else Jsonb(asdict(inbound)),
                ALBUM_QUIET_S if inbound.album else 0,
            ),
        )  # fmt: skip
        if first and cursor.rowcount:
            await conn.execute(
                "UPDATE chat_inbox SET message = %s, run_after = clock_timestamp() + %s * interval '1 second' WHERE id = %s",
                (Jsonb(_together(first[1], asdict(inbound))), ALBUM_QUIET_S, first[0]),
            )
        await notify(conn, "inbox")
    return cursor.rowcount == 1


async def _first_of_album(
    conn: Connection, channel: str, inbound: Inbound, *, user_id: str
) -> tuple[int, dict[str, Any]] | None:
    """The row that the album is gathered in, locked; None when there is none, or it was claimed."""
    # The pieces come at once, by several connections.
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", (f"{channel}\n{inbound.album}",))
    cursor = await conn.execute(
        "SELECT id, message FROM chat_inbox WHERE channel = %s AND album = %s AND user_id = %s AND message IS NOT NULL"
        " AND holder IS NULL AND attempts = 0 LIMIT 1 FOR UPDATE",
        (channel, inbound.album, user_id),
    )
    return await cursor.fetchone()


def _together(kept: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """A message with the files of another, and its words where it has none."""
    files = sorted([*kept["files"], *more["files"]], key=lambda file: int(file["order"]))
    return kept | {"files": files, "content": kept["content"] or more["content"]}


async def claim(holder: UUID, *, limit: int) -> list[Kept]:
    """The oldest messages that wait, and those that this process had begun with when it broke off."""
    async with connection() as conn, conn.cursor(row_factory=class_row(Kept)) as cursor:
        await cursor.execute(_CLAIM, {"holder": holder, "limit": limit})
        return await cursor.fetchall()


async def finish(kept: Kept) -> None:
    """The message was accepted or refused; its words are erased."""
    async with connection() as conn:
        await conn.execute("UPDATE chat_inbox SET message = NULL, holder = NULL WHERE id = %s", (kept.id,))


async def try_later(kept: Kept) -> None:
    """A file could not be fetched just now."""
    async with connection() as conn:
        await conn.execute(
            "UPDATE chat_inbox SET holder = NULL, run_after = clock_timestamp() + %s * interval '1 second' WHERE id = %s",
            (AGAIN_AFTER_S, kept.id),
        )
