"""The language in which a user is spoken to in chat apps: chosen on the page, else what the platform tells of the account."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from django.conf import settings

from gateway.db import Connection, connection


@dataclass(frozen=True, slots=True)
class Tongues:
    """What is known of some users: `chosen` by user, `told` by channel and account."""

    chosen: Mapping[str, str]
    told: Mapping[tuple[str, str], str]

    def of(self, user_id: str, *, channel: str, account: str) -> str:
        """The language for a user's account; English where nothing is known."""
        return self.chosen.get(user_id) or self.told.get((channel, account)) or str(settings.LANGUAGE_CODE)


async def tongues_on(conn: Connection, user_ids: Collection[str]) -> Tongues:
    """What is known of these users, by one statement."""
    cursor = await conn.execute(
        "SELECT user_id, '', '', language FROM user_languages WHERE user_id = ANY(%(users)s) UNION ALL"
        " SELECT user_id, channel_type, channel_user_id, language FROM user_channel_links"
        " WHERE user_id = ANY(%(users)s) AND language <> ''",
        {"users": [*user_ids]},
    )
    found = await cursor.fetchall()
    return Tongues(
        chosen={user: language for user, channel, _, language in found if not channel},
        told={(channel, account): language for _, channel, account, language in found if channel},
    )


async def language_of(user_id: str, *, channel: str, account: str) -> str:
    """The language for a user's account. Raises psycopg.Error."""
    async with connection() as conn:
        return (await tongues_on(conn, [user_id])).of(user_id, channel=channel, account=account)


async def choose_language(user_id: str, language: str) -> None:
    """The user wants to be spoken to in this language, in all chats. Raises psycopg.Error."""
    async with connection() as conn:
        await conn.execute(
            "INSERT INTO user_languages AS l (user_id, language) VALUES (%s, %s)"
            " ON CONFLICT (user_id) DO UPDATE SET language = excluded.language WHERE l.language <> excluded.language",
            (user_id, language),
        )


async def note_told(channel: str, account: str, *, language: str) -> None:
    """The platform says in which language the account's holder reads it. Raises psycopg.Error."""
    async with connection() as conn:
        await conn.execute(
            "UPDATE user_channel_links SET language = %s WHERE channel_type = %s AND channel_user_id = %s",
            (language, channel, account),
        )
