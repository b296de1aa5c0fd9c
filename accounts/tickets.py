"""One-use tickets for sockets: a browser cannot send an Authorization header on the upgrade."""

import hashlib
import secrets

from accounts.tokens import Identity
from gateway.db import connection

TICKET_S = 30


class TicketInvalid(Exception):
    """The ticket is unknown, used, expired, or another page's."""


async def issue_ticket(identity: Identity, *, origin: str) -> str:
    """A ticket of 128 random bits for `identity`, bound to the page's origin; good for 30 s and one use."""
    ticket = secrets.token_urlsafe(16)
    async with connection() as conn:
        # Rows that another process is removing are left to it: two such removals could wait for each other.
        await conn.execute(
            "DELETE FROM ws_tickets WHERE digest IN (SELECT digest FROM ws_tickets"
            " WHERE expires_at < clock_timestamp() LIMIT 100 FOR UPDATE SKIP LOCKED)"
        )
        await conn.execute(
            "INSERT INTO ws_tickets (digest, user_id, session, origin, identity_expires_at, expires_at)"
            " VALUES (%s, %s, %s, %s, %s, clock_timestamp() + %s * interval '1 second')",
            (_digest(ticket), identity.user_id, identity.session or None, origin, identity.expires_at, TICKET_S),
        )
    return ticket


async def redeem_ticket(ticket: str, *, origin: str) -> Identity:
    """The identity a ticket stands for; it is used up whatever comes of it.

    Raises TicketInvalid, also when its browser session was signed out meanwhile.
    """
    async with connection() as conn:
        cursor = await conn.execute(
            "DELETE FROM ws_tickets WHERE digest = %s"
            " RETURNING user_id, identity_expires_at, COALESCE(session::text, ''),"
            " origin = %s AND clock_timestamp() < LEAST(expires_at, identity_expires_at)"
            " AND (session IS NULL OR EXISTS (SELECT 1 FROM browser_sessions s WHERE s.id = session))",
            (_digest(ticket), origin),
        )
        row = await cursor.fetchone()
    if row is None or not row[3]:
        raise TicketInvalid
    return Identity(row[0], row[1], session=row[2])


def _digest(ticket: str) -> str:
    return hashlib.sha256(ticket.encode(errors="surrogatepass")).hexdigest()
