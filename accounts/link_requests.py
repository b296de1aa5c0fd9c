"""Requests of chat accounts to speak for a user: nothing is linked until that user says yes."""

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from psycopg.rows import class_row, dict_row

from accounts import audit
from accounts.link_codes import ChatAccount
from gateway.db import Connection, connection
from gateway.ids import is_id

# More than a person looks at; each has cost a code and a message, and is gone after ten minutes.
MAX_SHOWN = 20
_ALIVE: LiteralString = "state = 'pending' AND expires_at > clock_timestamp()"


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """A code and how far it has come: `open`, `pending` (with the account that used it) or `refused`."""

    id: str
    channel: str
    state: str
    account: str
    name: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Decided:
    """A request that was decided on. `link` is the account's link to the user.

    It is "" for a rejected request, and for an account that speaks for another user by now.
    """

    by: ChatAccount
    link: str

    @property
    def linked(self) -> bool:
        """Whether the account speaks for the user."""
        return bool(self.link)


async def requests_of(user_id: str) -> list[LinkRequest]:
    """The user's requests and open codes, the newest first."""
    async with connection() as conn, conn.cursor(row_factory=class_row(LinkRequest)) as cursor:
        await cursor.execute(
            "SELECT id::text, channel_type AS channel, state, channel_user_id AS account, name, expires_at FROM link_codes"
            " WHERE user_id = %s AND expires_at > clock_timestamp() ORDER BY id DESC LIMIT %s",
            (user_id, MAX_SHOWN),
        )
        return await cursor.fetchall()


async def confirm_on(conn: Connection, request: str, *, user_id: str) -> Decided | None:
    """Link the account that asks, in the caller's transaction; None when the user has no such request.

    The link has the request's id. An account that was linked to the same user meanwhile keeps that link.
    """
    by = await _take(conn, request, user_id=user_id)
    if by is None:
        return None
    cursor = await conn.execute(
        "INSERT INTO user_channel_links AS k (id, user_id, channel_type, channel_user_id, name) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT (channel_type, channel_user_id) DO UPDATE SET name ="
        " CASE WHEN k.user_id = EXCLUDED.user_id THEN EXCLUDED.name ELSE k.name END RETURNING user_id, id::text",
        (request, user_id, by.channel, by.account, by.name),
    )
    owner, link = (await cursor.fetchall())[0]
    if owner != user_id:
        await _record(conn, "link.refused", by, user_id=user_id)
        return Decided(by, link="")
    if link == request:
        await _record(conn, "link.made", by, user_id=user_id)
    return Decided(by, link)


async def reject_on(conn: Connection, request: str, *, user_id: str) -> Decided | None:
    """The user says no; None when they have no such request."""
    by = await _take(conn, request, user_id=user_id)
    if by is None:
        return None
    await _record(conn, "link.rejected", by, user_id=user_id)
    return Decided(by, link="")


async def withdraw_on(conn: Connection, by: ChatAccount) -> bool:
    """The account that asked takes all of its requests back; False when there is none."""
    cursor = await conn.execute(
        f"DELETE FROM link_codes WHERE channel_type = %s AND channel_user_id = %s AND {_ALIVE} RETURNING user_id",
        (by.channel, by.account),
    )
    users = await cursor.fetchall()
    for (user_id,) in users:
        event = audit.Event(
            actor=audit.chat(by.channel, by.account), action="link.withdrawn", user_id=user_id, object=str(by)
        )
        await audit.record_on(conn, event)
    return bool(users)


async def _take(conn: Connection, request: str, *, user_id: str) -> ChatAccount | None:
    """Use up a request that waits for the user's answer: of two answers, one gets it."""
    if not is_id(request):
        return None
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            f"DELETE FROM link_codes WHERE id = %s AND user_id = %s AND {_ALIVE}"
            " RETURNING channel_type AS channel, channel_user_id AS account, name, reply_to",
            (request, user_id),
        )
        row = await cursor.fetchone()
    return None if row is None else ChatAccount(**row)


async def _record(conn: Connection, action: str, by: ChatAccount, *, user_id: str) -> None:
    await audit.record_on(conn, audit.Event(actor=audit.user(user_id), action=action, user_id=user_id, object=str(by)))
