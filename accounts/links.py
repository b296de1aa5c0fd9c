"""Which user an account of another platform speaks for."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from psycopg.rows import class_row

from accounts import audit
from accounts.models import ChannelLink, UserLicence
from accounts.tokens import is_user_id
from gateway.db import Connection, connection
from gateway.ids import is_id


class LinkRefused(Exception):
    """The account can't be linked."""


@dataclass(frozen=True, slots=True)
class Link:
    """An account that speaks for a user; `name` is how its platform shows it, as far as known."""

    id: str
    channel: str
    account: str
    name: str
    created_at: datetime


async def user_of(channel_type: str, channel_user_id: str) -> str | None:
    """The user whom the account is linked to, or None."""
    if not is_user_id(channel_user_id):
        return None
    async with connection() as conn:
        cursor = await conn.execute(
            "SELECT user_id FROM user_channel_links WHERE channel_type = %s AND channel_user_id = %s",
            (channel_type, channel_user_id),
        )
        row = await cursor.fetchone()
    return None if row is None else str(row[0])


async def links_of(user_id: str) -> list[Link]:
    """The accounts that speak for the user, the oldest first."""
    async with connection() as conn, conn.cursor(row_factory=class_row(Link)) as cursor:
        await cursor.execute(
            "SELECT id::text, channel_type AS channel, channel_user_id AS account, name, created_at"
            " FROM user_channel_links WHERE user_id = %s ORDER BY created_at, id",
            (user_id,),
        )
        return await cursor.fetchall()


async def find_link(link: str, *, user_id: str) -> Link | None:
    """The user's link of that id; None for another's or a missing one."""
    return next((found for found in await links_of(user_id) if found.id == link), None)


def link_channel(*, user_id: str, channel_type: str, channel_user_id: str, actor: str = audit.COMMAND) -> bool:
    """Link an account to a user without asking either, as `actor` of the audit; False when it was so already.

    The caller has checked the id's form, which is the channel's. Raises LinkRefused when the user has no licence, or the
    account is another user's.
    """
    # What every channel's ids are held to, the rule of our own: printable text of at most 255 characters.
    if not is_user_id(channel_user_id):
        raise LinkRefused("That is no id of an account.")
    if not is_user_id(user_id) or not UserLicence.objects.filter(user_id=user_id).exists():
        raise LinkRefused("The user has no licence.")
    with transaction.atomic():
        link, made = ChannelLink.objects.get_or_create(
            channel_type=channel_type, channel_user_id=channel_user_id, defaults={"user_id": user_id}
        )
        if made:
            audit.record(audit.Event(actor=actor, action="link.made", user_id=user_id, object=str(link)))
    if link.user_id != user_id:
        raise LinkRefused("The account is linked to another user.")
    return made


async def unlink(link: str, *, user_id: str) -> bool:
    """The user ends a link of theirs, at once; False for another's or a missing one."""
    if not is_id(link):
        return False
    async with connection() as conn, conn.transaction():
        cursor = await conn.execute(
            "DELETE FROM user_channel_links WHERE id = %s AND user_id = %s RETURNING channel_type, channel_user_id",
            (link, user_id),
        )
        row = await cursor.fetchone()
        if row is not None:
            await _record_removal(conn, f"{row[0]}:{row[1]}", user_id, actor=audit.user(user_id))
    return row is not None


async def unlink_account_on(conn: Connection, channel_type: str, channel_user_id: str, *, actor: str) -> bool:
    """End an account's link in the caller's transaction, whosever it is; False when it has none."""
    if not is_user_id(channel_user_id):
        return False
    cursor = await conn.execute(
        "DELETE FROM user_channel_links WHERE channel_type = %s AND channel_user_id = %s RETURNING user_id",
        (channel_type, channel_user_id),
    )
    row = await cursor.fetchone()
    if row is not None:
        await _record_removal(conn, f"{channel_type}:{channel_user_id}", row[0], actor=actor)
    return row is not None


async def unlink_channel(*, channel_type: str, channel_user_id: str) -> bool:
    """The same by a command."""
    async with connection() as conn, conn.transaction():
        return await unlink_account_on(conn, channel_type, channel_user_id, actor=audit.COMMAND)


def remove_links(links: Collection[UUID], *, actor: str) -> int:
    """End links, whosever they are, as `actor` of the audit; how many there were."""
    with transaction.atomic():
        rows = list(ChannelLink.objects.select_for_update().filter(pk__in=links).order_by("pk"))
        audit.record_all(
            audit.Event(actor=actor, action="link.removed", user_id=row.user_id, object=str(row)) for row in rows
        )
        ChannelLink.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)


async def _record_removal(conn: Connection, account: str, user_id: str, *, actor: str) -> None:
    await audit.record_on(conn, audit.Event(actor=actor, action="link.removed", user_id=user_id, object=account))
