"""Whether those who are connected may still be: looked up for all connections of a process at once."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from accounts.tiers import Tier
from gateway.db import connection


async def licence_marks(user_ids: Collection[str]) -> dict[str, str]:
    """Of these users those whose licence is in force, each with a mark that is another one after every change of it."""
    async with connection() as conn:
        # xmin is the transaction that wrote the row, whoever did it.
        cursor = await conn.execute(
            "SELECT user_id, xmin::text FROM user_licenses"
            " WHERE user_id = ANY(%s) AND (expires_at IS NULL OR expires_at > clock_timestamp())",
            (list(user_ids),),
        )
        return dict(await cursor.fetchall())


@dataclass(frozen=True, slots=True)
class LicenceTerm:
    """A licence's tier and when it ends or ended; None = never."""

    tier: Tier
    ends: datetime | None


async def licence_terms(user_ids: Collection[str]) -> dict[str, LicenceTerm]:
    """The terms of those of these users who have a licence, valid or not."""
    async with connection() as conn:
        cursor = await conn.execute(
            "SELECT user_id, license_type, expires_at FROM user_licenses WHERE user_id = ANY(%s)", (list(user_ids),)
        )
        return {user_id: LicenceTerm(tier, ends) for user_id, tier, ends in await cursor.fetchall()}


async def open_sessions(session_ids: Collection[str]) -> set[str]:
    """Of these browser sessions those that nobody has signed out."""
    async with connection() as conn:
        cursor = await conn.execute(
            "SELECT id::text FROM browser_sessions WHERE id = ANY(%s::uuid[])", (list(session_ids),)
        )
        return {row[0] for row in await cursor.fetchall()}
