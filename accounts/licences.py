"""A user's licence: who has one, what it allows, and how it is set."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import structlog
from django.db import transaction
from psycopg.rows import dict_row
from pydantic import ValidationError

from accounts import audit
from accounts.licence_rules import USER_ID_FAULT, LicenceInvalid, check_licence
from accounts.models import UserLicence
from accounts.tiers import Features, Limits, Tier, features_of, limits_of
from accounts.tokens import is_user_id
from gateway.db import Connection, connection

log = structlog.get_logger(__name__)


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


class LicenceUnreadable(NotLicensed):
    """Your Dexorder licence has a setting that can't be read. Ask your administrator to correct it."""


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
    """The user's licence, by the database's clock. Raises LicenceMissing, LicenceExpired, LicenceUnreadable."""
    async with connection() as conn:
        return await active_licence_on(conn, user_id)


async def active_licence_on(conn: Connection, user_id: str) -> Licence:
    """The same within a caller's transaction."""
    return await _read(conn, _SELECT, user_id)


async def lock_licence_on(conn: Connection, user_id: str) -> Licence:
    """The same, and nobody changes or locks it until the caller's transaction ends: what it limits is counted in peace."""
    return await _read(conn, LOCK, user_id)


_SELECT: LiteralString = (
    "SELECT user_id, email, license_type, features, resource_limits, mcp_server_url, expires_at,"
    " expires_at <= clock_timestamp() AS expired FROM user_licenses WHERE user_id = %s"
)
# For a statement that locks more than the licence; takes the user's id, and `licence_of` reads its row.
LOCK: LiteralString = _SELECT + " FOR NO KEY UPDATE"


async def _read(conn: Connection, statement: LiteralString, user_id: str) -> Licence:
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement, (user_id,))
        return licence_of(await cursor.fetchone())


def licence_of(row: dict[str, Any] | None) -> Licence:
    """The licence in a row of LOCK's columns, which may have others too. Raises as `active_licence`."""
    if row is None:
        raise LicenceMissing
    if row["expired"]:
        raise LicenceExpired
    tier: Tier = row["license_type"]
    try:
        features, limits = features_of(tier, row["features"]), limits_of(tier, row["resource_limits"])
    except (ValidationError, KeyError, TypeError) as error:
        # Only plain SQL can write what the typed model refuses. A licence that can't be read allows nothing.
        log.warning("licence_unreadable", user_id=row["user_id"], error=type(error).__name__)
        raise LicenceUnreadable from error
    return Licence(
        user_id=row["user_id"],
        email=row["email"],
        tier=tier,
        features=features,
        limits=limits,
        mcp_server_url=row["mcp_server_url"],
        expires_at=row["expires_at"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenceChange:
    """What to set; None = keep. `features` and `limits` are merged into the licence's own, key by key.

    With `replace` they take the place of the licence's own.
    """

    tier: Tier | None = None
    email: str | None = None
    expires_at: datetime | None = None
    never_expires: bool = False
    features: dict[str, Any] | None = None
    limits: dict[str, Any] | None = None
    mcp_server_url: str | None = None
    replace: bool = False


def set_licence(user_id: str, change: LicenceChange, *, actor: str = audit.COMMAND) -> UserLicence:
    """Make or change a licence, as `actor` of the audit; what `change` does not name is kept.

    Raises LicenceInvalid for a user id, value or key that can't be, and for a new licence without a tier.
    """
    if not is_user_id(user_id):
        raise LicenceInvalid({"user_id": USER_ID_FAULT})
    with transaction.atomic():
        row, made = UserLicence.objects.select_for_update().get_or_create(
            user_id=user_id, defaults={"license_type": change.tier or ""}
        )
        before = None if made else content_of(row)
        _apply(row, change)
        check_licence(row)
        row.save()
        record_change(user_id, before, content_of(row), actor=actor)
    return row


def content_of(row: UserLicence) -> dict[str, Any]:
    """What staff sets in a licence, as JSON."""
    return {
        "tier": row.license_type,
        "email": row.email,
        "expires_at": None if row.expires_at is None else row.expires_at.isoformat(),
        "features": row.features,
        "resource_limits": row.resource_limits,
        "mcp_server_url": row.mcp_server_url,
    }


def record_change(user_id: str, before: dict[str, Any] | None, after: dict[str, Any] | None, *, actor: str) -> None:
    """Write to the audit, in the transaction that does it, what became of a licence; see change_event."""
    event = change_event(user_id, before, after, actor=actor)
    if event is not None:
        audit.record(event)


def change_event(
    user_id: str, before: dict[str, Any] | None, after: dict[str, Any] | None, *, actor: str
) -> audit.Event | None:
    """What became of a licence (None = there is none), for the audit; None when nothing did.

    Details hold of each value that differs `[before, after]`.
    """
    verb = "made" if before is None else "removed" if after is None else "changed"
    old, new = before or {}, after or {}
    changed = {name: [old.get(name), new.get(name)] for name in old | new if old.get(name) != new.get(name)}
    if not changed:
        return None
    return audit.Event(actor=actor, action=f"licence.{verb}", user_id=user_id, details=changed)


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
    row.features = _overrides(row.features, change.features, replace=change.replace)
    row.resource_limits = _overrides(row.resource_limits, change.limits, replace=change.replace)


def _overrides(own: dict[str, Any], wanted: dict[str, Any] | None, *, replace: bool) -> dict[str, Any]:
    if wanted is None:
        return own
    return wanted if replace else {**own, **wanted}
