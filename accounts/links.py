"""Which user an account of another platform speaks for."""

from accounts.models import ChannelLink, UserLicence
from gateway.db import connection

MAX_CHANNEL_USER_ID_CHARS = 255


class LinkRefused(Exception):
    """The account can't be linked."""


async def user_of(channel_type: str, channel_user_id: str) -> str | None:
    """The user whom the account is linked to, or None."""
    async with connection() as conn:
        cursor = await conn.execute(
            "SELECT user_id FROM user_channel_links WHERE channel_type = %s AND channel_user_id = %s",
            (channel_type, channel_user_id),
        )
        row = await cursor.fetchone()
    return None if row is None else str(row[0])


def link_channel(*, user_id: str, channel_type: str, channel_user_id: str) -> bool:
    """Link an account to a user; False when it was so already.

    Raises LinkRefused when the user has no licence, or the account is another user's.
    """
    if not 0 < len(channel_user_id) <= MAX_CHANNEL_USER_ID_CHARS or "\0" in channel_user_id:
        raise LinkRefused("That is no id of an account.")
    if not UserLicence.objects.filter(user_id=user_id).exists():
        raise LinkRefused("The user has no licence.")
    link, made = ChannelLink.objects.get_or_create(
        channel_type=channel_type, channel_user_id=channel_user_id, defaults={"user_id": user_id}
    )
    if link.user_id != user_id:
        raise LinkRefused("The account is linked to another user.")
    return made


def unlink_channel(*, channel_type: str, channel_user_id: str) -> bool:
    """Remove a link; False when there was none."""
    removed, _ = ChannelLink.objects.filter(channel_type=channel_type, channel_user_id=channel_user_id).delete()
    return removed > 0
