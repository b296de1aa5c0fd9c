"""A licence for whoever comes for the first time, where AUTO_ENROL_TIER says so."""

import structlog
from django.conf import settings

from accounts import audit
from accounts.tokens import Identity, verify_token
from gateway.db import connection

log = structlog.get_logger(__name__)


async def identify(token: str) -> Identity:
    """Who comes with `token`, enrolled if they must be. Raises TokenInvalid, psycopg.OperationalError."""
    identity = await verify_token(token)
    await enrol(identity)
    return identity


async def enrol(identity: Identity) -> None:
    """Make the licence of a user who never had one, if AUTO_ENROL_TIER is set; however often and at once it is called.

    Raises psycopg.OperationalError when the database fails.
    """
    tier = settings.AUTO_ENROL_TIER
    if not tier:
        return
    async with connection() as conn, conn.transaction():
        first = await conn.execute(
            "INSERT INTO enrolments (user_id) VALUES (%s) ON CONFLICT DO NOTHING", (identity.user_id,)
        )
        if first.rowcount != 1:
            return
        made = await conn.execute(
            "INSERT INTO user_licenses (user_id, email, license_type, features, resource_limits, mcp_server_url)"
            " VALUES (%s, %s, %s, '{}', '{}', '') ON CONFLICT DO NOTHING",
            (identity.user_id, identity.email, tier),
        )
        if made.rowcount != 1:
            return
        changed = {"tier": [None, tier], "email": [None, identity.email]}
        event = audit.Event(
            actor=audit.GATEWAY,
            action="licence.made",
            user_id=identity.user_id,
            object="AUTO_ENROL_TIER",
            details=changed,
        )
        await audit.record_on(conn, event)
    log.info("user_enrolled", tier=tier)
