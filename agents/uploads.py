"""Files for messages: kept until a message takes them, then with the message's own text, and an hour past its end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from agents.admission import admit
from agents.errors import FenceLost, Refused
from agents.harness_types import Attached
from agents.queue import Claim
from agents.upload_kinds import kind_of, name_of
from gateway.db import Connection, connection
from gateway.ids import is_id, new_id

# What a workspace takes as a document, and every vendor as a picture.
MOST_BYTES = 3_000_000
# Of one user, not sent yet: twice what a message takes.
MOST_WAITING = 20
MOST_ATTACHED = 10
# Of one user, sent: a message of a few bytes brings a copy of each, 3 MB at the most.
MOST_KEPT = 100
KINDS = "PNG, JPEG and WebP pictures, PDF and text files (Markdown, CSV and others)"

# The message is written meanwhile; and its files can be sent again, with other words or after a failure.
_KEPT = "interval '1 hour'"
_VIEW = "id::text, name, kind, media_type, size, expires_at"
_UNSENT = "user_id = %(user)s AND turn_id IS NULL AND expires_at > clock_timestamp()"


@dataclass(frozen=True, slots=True)
class UploadView:
    """A file that no message has taken yet; `kind` is picture, pdf or text, `size` in bytes."""

    id: str
    name: str
    kind: str
    media_type: str
    size: int
    expires_at: datetime


async def add_upload(user_id: str, *, name: str, content: bytes, channel: str) -> UploadView:
    """Keep a file for a message to come. Raises as `add_upload_on`."""
    async with connection() as conn, conn.transaction():
        return await add_upload_on(conn, user_id, name=name, content=content, channel=channel)


async def add_upload_on(conn: Connection, user_id: str, *, name: str, content: bytes, channel: str) -> UploadView:
    """The same in the caller's transaction.

    Raises Refused `too_large`, `invalid` (neither a picture nor a document), `too_many`, `no_licence`, `licence_expired` or
    `not_included` (the channel).
    """
    if len(content) > MOST_BYTES:
        raise Refused("too_large", f"A file has at most {MOST_BYTES:,} bytes.")
    seen = kind_of(content)
    if seen is None:
        raise Refused("invalid", f"This file can't be attached: {KINDS} can." if content else "The file is empty.")
    upload = new_id()
    async with conn.cursor(row_factory=class_row(UploadView)) as cursor:
        # The licence is locked, so that files that come at once are counted one after another.
        await admit(conn, user_id, channel=channel)
        await cursor.execute(
            "INSERT INTO uploads (id, user_id, name, kind, media_type, size, content, place, outcome, created_at, expires_at)"
            " SELECT %(id)s, %(user)s, %(name)s, %(kind)s, %(type)s, %(size)s, %(content)s, 0, '', clock_timestamp(),"
            f" clock_timestamp() + {_KEPT} WHERE (SELECT count(*) FROM uploads WHERE {_UNSENT}) < %(most)s"
            f" RETURNING {_VIEW}",
            {
                "id": upload, "user": user_id, "name": name_of(name), "kind": seen[0], "type": seen[1],
                "size": len(content), "content": content, "most": MOST_WAITING,
            },
        )  # fmt: skip
        made = await cursor.fetchone()
    if made is None:
        raise Refused("too_many", f"{MOST_WAITING} files wait to be sent. Send or remove some.")
    return made


async def list_uploads(user_id: str) -> list[UploadView]:
    """The user's files that no message has taken, the oldest first."""
    async with connection() as conn, conn.cursor(row_factory=class_row(UploadView)) as cursor:
        await cursor.execute(f"SELECT {_VIEW} FROM uploads WHERE {_UNSENT} ORDER BY id", {"user": user_id})
        return await cursor.fetchall()


async def delete_upload(user_id: str, upload: str) -> None:
    """Erase a file that no message has taken. Raises Refused `not_found` for any other."""
    if is_id(upload):
        async with connection() as conn:
            cursor = await conn.execute(
                f"DELETE FROM uploads WHERE id = %(id)s AND {_UNSENT}", {"id": upload, "user": user_id}
            )
        if cursor.rowcount == 1:
            return
    raise _missing()


async def drop_on(conn: Connection, user_id: str, uploads: Sequence[str]) -> None:
    """Erase those of some files that no message has taken, in the caller's transaction."""
    await conn.execute(
        "DELETE FROM uploads WHERE id = ANY(%s::uuid[]) AND user_id = %s AND turn_id IS NULL", ([*uploads], user_id)
    )


async def attach(
    conn: Connection, turn: str, *, user_id: str, uploads: tuple[str, ...], source: str | None
) -> list[str]:
    """Give files to a turn, in their order, in the transaction that accepts it, then copies of those of `source`; their names.

    Raises Refused `not_found` for another's, a missing one, and one that a message has taken, and for a `source` that is
    another's, is missing or has no files any more; `invalid` for one named twice, and for too many; `too_many` when as many
    copies are kept.
    """
    if len(set(uploads)) < len(uploads):
        raise Refused("invalid", "A file is attached twice.")
    if not all(is_id(upload) for upload in uploads):
        raise _missing()
    names = []
    for place, upload in enumerate(uploads):
        cursor = await conn.execute(
            f"UPDATE uploads SET turn_id = %(turn)s, place = %(place)s WHERE id = %(id)s AND {_UNSENT} RETURNING name",
            {"turn": turn, "place": place, "id": upload, "user": user_id},
        )
        row = await cursor.fetchone()
        if row is None:
            raise _missing()
        names.append(str(row[0]))
    if source is None:
        return names
    files = await _kept_by(conn, source, user_id=user_id)
    return names + await _attach_again(conn, turn, user_id=user_id, files=files, after=len(names))


async def _kept_by(conn: Connection, turn: str, *, user_id: str) -> list[UUID]:
    found = []
    if is_id(turn):
        cursor = await conn.execute(
            "SELECT id FROM uploads WHERE turn_id = %s AND user_id = %s ORDER BY place", (turn, user_id)
        )
        found = [row[0] for row in await cursor.fetchall()]
    if not found:
        raise Refused("not_found", "The files of that message are not kept any more. Attach them again.")
    return found


async def _require_room(conn: Connection, user_id: str, more: int) -> None:
    cursor = await conn.execute("SELECT count(*) FROM uploads WHERE user_id = %s AND turn_id IS NOT NULL", (user_id,))
    found = await cursor.fetchone()
    if found is None or found[0] + more > MOST_KEPT:
        raise Refused("too_many", "You have sent files again too often. Try it in an hour, or attach them anew.")


async def _attach_again(conn: Connection, turn: str, *, user_id: str, files: Sequence[UUID], after: int) -> list[str]:
    """Copies for another turn, behind `after` files of its own. What became of a document is not copied: it is delivered anew."""
    if after + len(files) > MOST_ATTACHED:
        raise Refused("invalid", f"A message takes {MOST_ATTACHED} files.")
    await _require_room(conn, user_id, len(files))
    names = []
    for place, upload in enumerate(files, after):
        cursor = await conn.execute(
            "INSERT INTO uploads (id, user_id, name, kind, media_type, size, content, turn_id, place, outcome, created_at,"
            " expires_at) SELECT %(id)s, user_id, name, kind, media_type, size, content, %(turn)s, %(place)s, '',"
            f" clock_timestamp(), clock_timestamp() + {_KEPT} FROM uploads WHERE id = %(upload)s RETURNING name",
            {"id": new_id(), "turn": turn, "place": place, "upload": upload},
        )
        names += [str(row[0]) for row in await cursor.fetchall()]
    return names


async def attached_to(turn: str) -> tuple[Attached, ...]:
    """The files of a turn, in their order."""
    async with connection() as conn, conn.cursor(row_factory=class_row(Attached)) as cursor:
        await cursor.execute(
            "SELECT id::text, name, kind, media_type, content, outcome FROM uploads WHERE turn_id = %s ORDER BY place",
            (turn,),
        )
        return tuple(await cursor.fetchall())


async def note_outcome(claim: Claim, upload: str, outcome: str) -> None:
    """Keep what became of a file of a running turn, so that no later attempt does it again. Raises FenceLost."""
    async with connection() as conn:
        cursor = await conn.execute(
            "UPDATE uploads SET outcome = %s WHERE id = %s AND turn_id = (SELECT id FROM turns"
            " WHERE id = %s AND fence = %s AND state = 'running')",
            (outcome, upload, claim.turn, claim.fence),
        )
    if cursor.rowcount == 0:
        raise FenceLost


async def sweep_uploads() -> None:
    """Erase files that nobody has sent in time, and those of turns that ended some time ago and whose texts are erased."""
    async with connection() as conn:
        await conn.execute("DELETE FROM uploads WHERE turn_id IS NULL AND expires_at <= clock_timestamp()")
        await conn.execute(
            "DELETE FROM uploads u USING turns t WHERE t.id = u.turn_id"
            " AND t.state IN ('done', 'failed', 'cancelled') AND t.content = ''"
            f" AND t.finished_at <= clock_timestamp() - {_KEPT}"
        )


def kept_message(content: str, channel: str, *, attached: Sequence[Attached] = ()) -> dict[str, Any]:
    """A user's message as its conversation keeps it: of its files the names."""
    names = [each.name for each in attached]
    return {"role": "user", "content": content, "channel": channel, **({"attachments": names} if names else {})}


def _missing() -> Refused:
    return Refused("not_found", "There is no such file. Files are kept for an hour, and for one message.")
