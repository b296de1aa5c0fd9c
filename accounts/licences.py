"""A user's licence: who has one, what it allows, and how it is set."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from psycopg.rows import dict_row
from pydantic import ValidationError

from accounts.models import UserLicence
from accounts.tiers import FEATURES, Features, Limits, Tier, features_of, limits_of
from accounts.tokens import is_user_id
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenceChange:
    """What to set; None = keep. `features` and `limits` are merged into the licence's own, key by key."""

    tier: Tier | None = None
    email: str | None = None
    expires_at: datetime | None = None
    never_expires: bool = False
    features: dict[str, Any] | None = None
    limits: dict[str, Any] | None = None
    mcp_server_url: str | None = None


class LicenceInvalid(Exception):
    """The licence can't be set so; the text says why."""


def set_licence(user_id: str, change: LicenceChange) -> UserLicence:
    """Make or change a licence; what `change` does not name is kept.

    Raises LicenceInvalid for a user id, value or key that can't be, and for a new licence without a tier.
    """
    if not is_user_id(user_id):
        raise LicenceInvalid("A user id has 1 to 255 printable characters.")
    with transaction.atomic():
        row = UserLicence.objects.select_for_update().filter(user_id=user_id).first() or UserLicence(user_id=user_id)
        _apply(row, change)
        check_licence(row)
        row.save()
    return row


def check_licence(row: UserLicence) -> None:
    """Raise LicenceInvalid, with the fields and their faults, unless the row's values fit the typed model."""
    if row.license_type not in FEATURES:
        raise LicenceInvalid(f"The tier is one of {', '.join(FEATURES)}.")
    tier = cast("Tier", row.license_type)
    for name, overrides, model in (
        ("features", row.features, features_of),
        ("resource_limits", row.resource_limits, limits_of),
    ):
        if not isinstance(overrides, dict):
            raise LicenceInvalid(f"{name} must be an object.")
        try:
            model(tier, overrides)
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
            raise LicenceInvalid(f"{name}: {faults}") from error
    if row.mcp_server_url and not is_allowed_url(row.mcp_server_url):
        raise LicenceInvalid("mcp_server_url is not among MCP_SERVER_URL_ALLOWLIST.")


def is_allowed_url(url: str) -> bool:
    """Whether `url` lies under an entry of MCP_SERVER_URL_ALLOWLIST: same scheme, host and port, and below its path."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if parts.scheme not in {"http", "https"} or parts.username or parts.password or ".." in parts.path.split("/"):
        return False
    return any(_is_below(url, entry) for entry in settings.MCP_SERVER_URL_ALLOWLIST)


def _is_below(url: str, entry: str) -> bool:
    try:
        ours, theirs = urlsplit(entry), urlsplit(url)
        same = (ours.scheme, ours.hostname, ours.port) == (theirs.scheme, theirs.hostname, theirs.port)
    except ValueError:
        return False
    root = ours.path.rstrip("/")
    return same and (theirs.path == root or theirs.path.startswith(root + "/"))


def _apply(row: UserLicence, change: LicenceChange) -> None:
    if change.tier is not None:
        row.license_type = change.tier
    if change.email is not None:
        row.email = change.email
    if change.never_expires:
        row.expires_at = None
    elif change.expires_at is not None:
        row.expires_at = change.expires_at
    if change.mcp_server_url is not None:
        row.mcp_server_url = change.mcp_server_url
    row.features = {**row.features, **(change.features or {})}
    row.resource_limits = {**row.resource_limits, **(change.limits or {})}
