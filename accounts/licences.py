"""A user's licence: who has one, what it allows, and how it is set."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from psycopg.rows import dict_row

from accounts.tiers import Features, Limits, Tier, features_of, limits_of
from gateway.db import Connection, connection


class NotLicensed(Exception):
    """There is no licence for you."""

    code = "no_licence"

    def __init__(self, message: str = "") -> None:
        super().__init__(message or self.__doc__)


class LicenceMissing(NotLicensed):
    """There is no Dexorder licence for this account. Ask your administrator for one."""


class LicenceExpired(NotLicensed):
    """Your Dexorder licence has expired. Renew it to go on."""

    code = "licence_expired"


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence with its tier's defaults filled in; `expires_at` None = never."""

    user_id: str
    email: str
    tier: Tier
    features: Features
    limits: Limits
    mcp_server_url: str
    expires_at: datetime | None


async def active_licence(user_id: str) -> Licence:
    """The user's licence, by the database's clock. Raises LicenceMissing, LicenceExpired."""
    async with connection() as conn:
        return await active_licence_on(conn, user_id)


async def active_licence_on(conn: Connection, user_id: str) -> Licence:
    """The same within a caller's transaction."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            "SELECT user_id, email, license_type, features, resource_limits, mcp_server_url, expires_at,"
            " expires_at <= clock_timestamp() AS expired FROM user_licenses WHERE user_id = %s",
            (user_id,),
        )
        row = await cursor.fetchone()
    if row is None:
        raise LicenceMissing
    if row["expired"]:
        raise LicenceExpired
    return _licence(row)


def _licence(row: dict[str, Any]) -> Licence:
    tier = cast("Tier", row["license_type"])
    return Licence(
        user_id=row["user_id"],
        email=row["email"],
        tier=tier,
        features=features_of(tier, row["features"]),
        limits=limits_of(tier, row["resource_limits"]),
        mcp_server_url=row["mcp_server_url"],
        expires_at=row["expires_at"],
    )
