"""Messages with files, and those that follow one: stored before they are acknowledged, and accepted in their order.

A platform waits three seconds for its answer, and a file may take longer. Of each user of a channel the oldest message is
claimed, under its process's lease; the later ones stay behind it. A second post of a message finds its row. The pieces of an
album are gathered in the row of the first; the others' stand for themselves.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, LiteralString
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from accounts.tokens import is_user_id
from agents.busy import QUEUE_CAP, queue_full
from agents.uploads import drop_on
from channels_app import inbox_rows
from channels_app.channels import Inbound
from gateway.db import Connection, connection, notify
from gateway.leases import holder_alive

MOST_ATTEMPTS = 3
# Before the second and the third attempt, in seconds.
AGAIN_AFTER_S = 5
# Telegram tells of no last piece: an album is whole when no other has come for so long, in seconds.
ALBUM_QUIET_S = 1.5
# As long as what is said in a chat is tried to be sent.
MOST_AGE_HOURS = 24
_TOO_OLD = f"created_at < clock_timestamp() - interval '{MOST_AGE_HOURS} hours'"
# One that broke off with the database is no further attempt when its own process takes it again.
_CLAIM = f"""
    UPDATE chat_inbox c SET holder = %(holder)s, attempts = attempts + (holder IS DISTINCT FROM %(holder)s)::int
    WHERE id IN (
        SELECT i.id FROM chat_inbox i WHERE i.message IS NOT NULL AND i.run_after <= clock_timestamp()
            AND i.id <> ALL(%(busy)s) AND (i.channel = ANY(%(channels)s) OR i.{_TOO_OLD})
            AND (i.holder IS NULL OR i.holder = %(holder)s OR NOT {holder_alive("i")})
            AND NOT EXISTS (SELECT 1 FROM chat_inbox e WHERE e.message IS NOT NULL AND e.channel = i.channel
                AND e.user_id = i.user_id AND e.id < i.id)
        ORDER BY i.id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
    RETURNING id, holder, channel, user_id, message, attempts, COALESCE(taken, '{{}}') AS taken, {_TOO_OLD} AS too_old,
        loose AND NOT EXISTS (SELECT 1 FROM chat_inbox a WHERE a.channel = c.channel AND a.album = c.album
            AND a.album <> '' AND a.user_id = c.user_id AND NOT a.loose) AS loose
"""


class Lost(Exception):
    """The message was dropped, or another process has taken it over."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Whom an account speaks for, None = nobody; `waits`: an earlier message of the user's there is not accepted yet.

    `posted`: this very message came before and was kept, whatever became of it. `asked`: a question of the agent waits for them.
    `chosen` is their language, and `told` what the platform said of it before; "" = none.
    """

    user_id: str | None
    waits: bool = False
    posted: bool = False
    asked: bool = False
    chosen: str = ""
    told: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message's file: an upload's id, what was heard in it, or why it was not taken.

    `place` is its place among the files. `unheard`: not taken, and a model was asked for its words.
    """

    place: int
    kind: Literal["upload", "heard", "refused", "unheard"]
    value: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A message that waits; `message` is an Inbound as JSON, `taken` what became of its files so far, by their places.

    `loose`: a piece of an album that nobody said to us, as far as is known.
    """

    id: int
    holder: UUID
    channel: str
    user_id: str
    message: dict[str, Any]
    attempts: int
    taken: dict[str, list[Any]]
    too_old: bool
    loose: bool

    @property
    def inbound(self) -> Inbound:
        """The message."""
        return inbox_rows.read(self.message)

    @property
    def outcomes(self) -> dict[int, Outcome]:
        """What became of its files in earlier attempts."""
        return {int(place): Outcome(int(place), *outcome) for place, outcome in self.taken.items()}

    @property
    def last_attempt(self) -> bool:
        """Whether what fails now is given up."""
        return self.attempts >= MOST_ATTEMPTS

    @property
    def hopeless(self) -> bool:
        """Whether its attempts ended with their processes, or nobody waits for it any more."""
        return self.too_old or self.attempts > MOST_ATTEMPTS


async def sender_of(channel: str, account: str, *, external_id: str) -> Sender:
    """Who writes, whether an earlier message of theirs waits here, whether this one came before and whether they are asked, by
    one statement.

    Raises psycopg.Error.
    """
    if not is_user_id(account):
        return Sender(None)
    async with connection() as conn:
        cursor = await conn.execute(
            "SELECT k.user_id, EXISTS (SELECT 1 FROM chat_inbox i WHERE i.message IS NOT NULL AND i.channel = k.channel_type"
            " AND i.user_id = k.user_id), EXISTS (SELECT 1 FROM chat_inbox p WHERE p.channel = k.channel_type"
            " AND p.external_id = %s), EXISTS (SELECT 1 FROM questions q WHERE q.user_id = k.user_id AND q.state = 'pending'),"
            " COALESCE((SELECT l.language FROM user_languages l WHERE l.user_id = k.user_id), ''), k.language"
            " FROM user_channel_links k WHERE k.channel_type = %s AND k.channel_user_id = %s",
            (external_id, channel, account),
        )
        row = await cursor.fetchone()
    return Sender(None) if row is None else Sender(*row)


async def keep(channel: str, inbound: Inbound, *, user_id: str) -> bool:
    """Store a message, or add it to the rest of its album; False when it was stored before.

    Raises Refused `queue_full` when as many wait as may, and psycopg.Error.
    """
    async with connection() as conn, conn.transaction():
        first = await _first_of_album(conn, channel, inbound, user_id=user_id) if inbound.album else None
        if first is None:
            await _require_room(conn, channel, user_id=user_id)
        cursor = await conn.execute(
            "INSERT INTO chat_inbox (channel, external_id, user_id, album, loose, message, run_after)"
            " VALUES (%s, %s, %s, %s, %s, %s, clock_timestamp() + %s * interval '1 second')"
            " ON CONFLICT (channel, external_id) DO NOTHING",
            (
                channel, inbound.external_id, user_id, inbound.album, inbound.loose,
                None if first else Jsonb(inbox_rows.written(inbound)), ALBUM_QUIET_S if inbound.album else 0,
            ),
        )  # fmt: skip
        if first and cursor.rowcount:
            await conn.execute(
                "UPDATE chat_inbox SET message = %s, run_after = clock_timestamp() + %s * interval '1 second' WHERE id = %s",
                (Jsonb(inbox_rows.together(first[1], inbox_rows.written(inbound))), ALBUM_QUIET_S, first[0]),
            )
        await notify(conn, "inbox")
    return cursor.rowcount == 1


async def _require_room(conn: Connection, channel: str, *, user_id: str) -> None:
    # Messages that come at once are counted one after another.
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 2))", (f"{channel}\n{user_id}",))
    cursor = await conn.execute(
        "SELECT count(*) FROM chat_inbox WHERE channel = %s AND user_id = %s AND message IS NOT NULL",
        (channel, user_id),
    )
    row = await cursor.fetchone()
    if row is not None and row[0] >= QUEUE_CAP:
        raise queue_full()


async def _first_of_album(
    conn: Connection, channel: str, inbound: Inbound, *, user_id: str
) -> tuple[int, dict[str, Any]] | None:
    """The row that the album is gathered in, locked; None when there is none, or somebody has begun with it."""
    # The pieces come at once, by several connections.
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", (f"{channel}\n{inbound.album}",))
    cursor = await conn.execute(
        "SELECT id, message FROM chat_inbox WHERE channel = %s AND album = %s AND user_id = %s AND message IS NOT NULL"
        " AND attempts = 0 AND taken IS NULL LIMIT 1 FOR UPDATE",
        (channel, inbound.album, user_id),
    )
    return await cursor.fetchone()


async def claim(holder: UUID, *, channels: Collection[str], busy: Collection[int], limit: int) -> list[Kept]:
    """The oldest messages that wait, one for each user and channel, but those that `busy` names by their ids.

    Of `channels` alone, or too old; also those that this process had begun with when it broke off. Raises psycopg.Error.
    """
    values = {"holder": holder, "channels": [*channels], "busy": [*busy], "limit": limit}
    async with connection() as conn, conn.cursor(row_factory=class_row(Kept)) as cursor:
        await cursor.execute(_CLAIM, values)
        return await cursor.fetchall()


async def hold(conn: Connection, kept: Kept) -> None:
    """Keep the message from being dropped until the caller's transaction ends. Raises Lost, which must end that.

    Whoever locks more than the row locks the row first.
    """
    cursor = await conn.execute(
        "SELECT 1 FROM chat_inbox WHERE id = %s AND holder = %s AND message IS NOT NULL FOR UPDATE",
        (kept.id, kept.holder),
    )
    if await cursor.fetchone() is None:
        raise Lost


async def note(conn: Connection, kept: Kept, outcome: Outcome) -> None:
    """Keep what became of a file, so that it is taken once, in the caller's transaction. Raises Lost, which must end that."""
    cursor = await conn.execute(
        "UPDATE chat_inbox SET taken = COALESCE(taken, '{}') || %s WHERE id = %s AND holder = %s AND message IS NOT NULL",
        (Jsonb({str(outcome.place): [outcome.kind, outcome.value]}), kept.id, kept.holder),
    )
    if cursor.rowcount == 0:
        raise Lost


async def finish(conn: Connection, kept: Kept) -> None:
    """The message was accepted, refused or given up, in the caller's transaction: its words are erased, and those of its
    files that no turn has. Raises Lost, which must end that."""
    if not await _erase(conn, "id = %s AND holder = %s", (kept.id, kept.holder), user_id=kept.user_id):
        raise Lost


async def forget(conn: Connection, channel: str, *, user_id: str, thread: str) -> list[dict[str, Any]]:
    """Drop what waits of a user in a thread, also what is fetched just now, in the caller's transaction; the messages as JSON."""
    which = "channel = %s AND user_id = %s AND message->>'thread' = %s"
    return await _erase(conn, which, (channel, user_id, thread), user_id=user_id)


async def _erase(
    conn: Connection, which: LiteralString, values: tuple[Any, ...], *, user_id: str
) -> list[dict[str, Any]]:
    cursor = await conn.execute(
        f"WITH gone AS (SELECT id, message, taken FROM chat_inbox WHERE message IS NOT NULL AND {which}"
        " ORDER BY id FOR UPDATE)"
        " UPDATE chat_inbox i SET message = NULL, taken = NULL, holder = NULL FROM gone WHERE i.id = gone.id"
        " RETURNING gone.message, COALESCE(gone.taken, '{}')",
        values,
    )
    found = await cursor.fetchall()
    uploads = [value for _, taken in found for kind, value in taken.values() if kind == "upload"]
    if uploads:
        await drop_on(conn, user_id, uploads)
    return [message for message, _ in found]


async def try_later(kept: Kept) -> None:
    """Something failed that may work in a moment."""
    async with connection() as conn:
        await conn.execute(
            "UPDATE chat_inbox SET holder = NULL, run_after = clock_timestamp() + %s * interval '1 second'"
            " WHERE id = %s AND holder = %s",
            (AGAIN_AFTER_S, kept.id, kept.holder),
        )


async def put_back(kept: Kept) -> None:
    """This process ends before it was done with the message, which is no attempt."""
    async with connection() as conn:
        await conn.execute(
            "UPDATE chat_inbox SET holder = NULL, attempts = attempts - 1 WHERE id = %s AND holder = %s",
            (kept.id, kept.holder),
        )
        await notify(conn, "inbox")
