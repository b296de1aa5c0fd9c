"""Which user an account of another platform speaks for."""

import re

from accounts.models import ChannelLink, UserLicence
from accounts.tokens import is_user_id
from gateway.db import connection

# What a file in channels_app/channels/ may be called.
_CHANNEL_TYPE = re.compile(r"[a-z][a-z0-9_]{0,63}")


class LinkRefused(Exception):
    """The account can't be linked."""


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


def link_channel(*, user_id: str, channel_type: str, channel_user_id: str) -> bool:
    """Link an account to a user; False when it was so already.

    Raises LinkRefused when the user has no licence, or the account is another user's.
    """
    if not _CHANNEL_TYPE.fullmatch(channel_type):
        raise LinkRefused("A channel is named in lower case, such as telegram.")
    # The ids of accounts elsewhere are held to the rule of our own: printable text of at most 255 characters.
    if not is_user_id(channel_user_id):
        raise LinkRefused("That is no id of an account.")
    if not is_user_id(user_id) or not UserLicence.objects.filter(user_id=user_id).exists():
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
