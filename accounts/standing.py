"""Whether those who are connected may still be: looked up for all connections of a process at once."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from accounts.tiers import Tier, limits_of, tier_limits
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
    """A licence's tier, when it ends or ended (None = never), and after how long its workspace is idle (0 = never)."""

    tier: Tier
    ends: datetime | None
    idle_s: int


async def licence_terms(user_ids: Collection[str]) -> dict[str, LicenceTerm]:
    """The terms of those of these users who have a licence, valid or not."""
    async with connection() as conn:
        cursor = await conn.execute(
            "SELECT user_id, license_type, expires_at, resource_limits FROM user_licenses WHERE user_id = ANY(%s)",
            (list(user_ids),),
        )
        return {
            user_id: LicenceTerm(tier, ends, _idle_s(tier, own)) for user_id, tier, ends, own in await cursor.fetchall()
        }


def _idle_s(tier: Tier, own: dict[str, object]) -> int:
    try:
        return limits_of(tier, own).idle_s
    except (ValidationError, TypeError):
        # Plain SQL can write what the model refuses. Such a licence allows nothing, and its workspace rests as others do.
        return tier_limits(tier).idle_s


async def open_sessions(session_ids: Collection[str]) -> set[str]:
    """Of these browser sessions those that nobody has signed out."""
    async with connection() as conn:
        cursor = await conn.execute(
            "SELECT id::text FROM browser_sessions WHERE id = ANY(%s::uuid[])", (list(session_ids),)
        )
        return {row[0] for row in await cursor.fetchall()}
