"""Codes with which a chat account asks to speak for a user: ten minutes, one use, kept as keyed digests only."""

import re
import secrets
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

from django.utils.crypto import salted_hmac
from psycopg.types.json import Jsonb

from accounts import audit
from accounts.errors import LimitReached
from accounts.link_tries import (
    CODES_EACH,
    EVERYBODY,
    TRIES_EACH,
    TRIES_IN_ALL,
    Verdict,
    count_try_on,
    forget_old_tries_on,
    seconds_left_on,
)
from gateway.db import Connection, connection
from gateway.ids import new_uuid

LIFE = timedelta(minutes=10)
# Neither 0 nor O, 1, I or L, nor U, which is read as V.
ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
SHORT_CHARS = 8
TOKEN_BYTES = 16
_SHORT = re.compile(f"[{ALPHABET}]{{{SHORT_CHARS}}}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")
# No code is longer, with whatever stands between its characters; what is longer is not looked at.
_LONGEST_INPUT = 64


@dataclass(frozen=True, slots=True)
class IssuedCode:
    """A code in both of its forms: `code` to type, `token` (128 bits) for a deep link."""

    code: str
    token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatAccount:
    """An account of another platform, as in a link; `name` is how the platform shows it, `reply_to` where it wrote from.

    `address` is the network address behind it, where the platform tells one.
    """

    channel: str
    account: str
    name: str = ""
    reply_to: dict[str, Any] = field(default_factory=dict)
    address: str = ""

    def __str__(self) -> str:
        return f"{self.channel}:{self.account}"


class Redemption(Enum):
    """What became of a try; the same INVALID for a code that never was, is used or too old, or is another channel's.

    PENDING waits for its user's yes. ALREADY: the account speaks for that user. TAKEN: it speaks for another.
    BLOCKED: too many tries; SILENCED: so many that it has been said before.
    """

    PENDING = "pending"
    ALREADY = "already"
    TAKEN = "taken"
    INVALID = "invalid"
    BLOCKED = "blocked"
    SILENCED = "silenced"


async def issue_code(user_id: str, *, channel: str) -> IssuedCode:
    """A new code for the user, who must have a licence; their open one of the channel is no good from then on.

    Raises LimitReached for a user who has had CODES_EACH of them in the last ten minutes.
    """
    code = "".join(secrets.choice(ALPHABET) for _ in range(SHORT_CHARS))
    token = secrets.token_urlsafe(TOKEN_BYTES)
    async with connection() as conn, conn.transaction():
        await _forget_old(conn)
        await _allow(conn, f"codes:{user_id}")
        cursor = await conn.execute(
            "INSERT INTO link_codes (id, user_id, channel_type, short_digest, token_digest, expires_at)"
            " VALUES (%s, %s, %s, %s, %s, clock_timestamp() + %s)"
            " ON CONFLICT (user_id, channel_type) WHERE state = 'open' DO UPDATE SET id = EXCLUDED.id,"
            " short_digest = EXCLUDED.short_digest, token_digest = EXCLUDED.token_digest, expires_at = EXCLUDED.expires_at"
            " RETURNING expires_at",
            (new_uuid(), user_id, channel, _digest(code), _digest(token), LIFE),
        )
        expires_at: datetime = (await cursor.fetchall())[0][0]
        await audit.record_on(
            conn, audit.Event(actor=audit.user(user_id), action="link_code.made", user_id=user_id, object=channel)
        )
    return IssuedCode(code, token, expires_at)


async def redeem_on(conn: Connection, text: str, *, by: ChatAccount) -> Redemption:
    """Let a chat account try a code, in the caller's transaction: counted whatever comes of it, and good for one request."""
    code = normalised(text)
    verdict = await _count(conn, by, guessable=not _TOKEN.fullmatch(code))
    if verdict is not Verdict.ALLOWED:
        return Redemption.SILENCED if verdict is Verdict.OVER else Redemption.BLOCKED
    # Digests are keyed, so how long an index takes to find or miss one says nothing about any code.
    digest = _digest(code)
    cursor = await conn.execute(
        "UPDATE link_codes SET state = 'pending', channel_user_id = %s, name = %s, reply_to = %s"
        " WHERE (short_digest = %s OR token_digest = %s) AND channel_type = %s AND state = 'open'"
        " AND expires_at > clock_timestamp() RETURNING id, user_id",
        (by.account, by.name, Jsonb(by.reply_to), digest, digest, by.channel),
    )
    row = await cursor.fetchone()
    if row is None:
        return Redemption.INVALID
    outcome = await _judge(conn, row[0], user_id=row[1], by=by)
    action = "link.refused" if outcome is Redemption.TAKEN else "link.requested"
    await audit.record_on(
        conn,
        audit.Event(actor=audit.chat(by.channel, by.account), action=action, user_id=row[1], object=str(by)),
    )
    return outcome


async def void_on(conn: Connection, text: str, *, by: ChatAccount) -> bool:
    """A code that others have read is no good any more, whatever channel it is for, in the caller's transaction.

    Whether there was one. `by` is who showed it; nobody learns whose it was.
    """
    digest = _digest(normalised(text))
    cursor = await conn.execute(
        "DELETE FROM link_codes WHERE (short_digest = %s OR token_digest = %s) AND state = 'open'"
        " RETURNING user_id, channel_type",
        (digest, digest),
    )
    found = await cursor.fetchall()
    for user_id, channel in found:
        actor = audit.chat(by.channel, by.account)
        await audit.record_on(
            conn, audit.Event(actor=actor, action="link_code.voided", user_id=user_id, object=channel)
        )
    return bool(found)


def normalised(text: str) -> str:
    """The code that was meant, whatever its case and the spaces and dashes in it; "" for what can't be one."""
    if len(text) > _LONGEST_INPUT:
        return ""
    plain = unicodedata.normalize("NFKC", text).strip()
    packed = "".join(each for each in plain if unicodedata.category(each) not in {"Zs", "Cc", "Cf", "Pd"})
    # Some other letters become ours when raised: ß is SS.
    if packed.isascii() and _SHORT.fullmatch(packed.upper()):
        return packed.upper()
    return plain if _TOKEN.fullmatch(plain) else ""


async def _count(conn: Connection, by: ChatAccount, *, guessable: bool) -> Verdict:
    """Count a try of the account, its address and everybody, in this order everywhere; the account alone is told once."""
    verdict = await count_try_on(conn, f"chat:{by}", limit=TRIES_EACH)
    if verdict is not Verdict.ALLOWED:
        return verdict
    others = [(f"address:{by.address}", TRIES_EACH)] if by.address else []
    if guessable:
        others.append((EVERYBODY, TRIES_IN_ALL))
    for scope, limit in others:
        if await count_try_on(conn, scope, limit=limit) is not Verdict.ALLOWED:
            return Verdict.JUST_OVER
    return Verdict.ALLOWED


async def _judge(conn: Connection, request: UUID, *, user_id: str, by: ChatAccount) -> Redemption:
    """What a right code leads to, by whom the account speaks for now."""
    cursor = await conn.execute(
        "SELECT user_id FROM user_channel_links WHERE channel_type = %s AND channel_user_id = %s",
        (by.channel, by.account),
    )
    owner = await cursor.fetchone()
    if owner is None:
        # One request of an account to a user is enough.
        await conn.execute(
            "DELETE FROM link_codes WHERE user_id = %s AND channel_type = %s AND channel_user_id = %s"
            " AND state = 'pending' AND id <> %s",
            (user_id, by.channel, by.account, request),
        )
        return Redemption.PENDING
    if owner[0] == user_id:
        await conn.execute("DELETE FROM link_codes WHERE id = %s", (request,))
        return Redemption.ALREADY
    # Whose code it was learns that an account was refused, not which.
    await conn.execute(
        "UPDATE link_codes SET state = 'refused', channel_user_id = '', name = '', reply_to = '{}' WHERE id = %s",
        (request,),
    )
    return Redemption.TAKEN


async def _allow(conn: Connection, scope: str) -> None:
    if await count_try_on(conn, scope, limit=CODES_EACH) is not Verdict.ALLOWED:
        left_s = await seconds_left_on(conn, scope)
        raise LimitReached("You have asked for too many codes. Use the last one, or wait.", retry_after_s=left_s)


async def _forget_old(conn: Connection) -> None:
    await conn.execute(
        "DELETE FROM link_codes WHERE id IN (SELECT id FROM link_codes"
        " WHERE expires_at < clock_timestamp() LIMIT 100 FOR UPDATE SKIP LOCKED)"
    )
    await forget_old_tries_on(conn)


def _digest(code: str) -> str:
    """Keyed with SECRET_KEY: of 40 bits, a copy of the database would give away a plain digest in seconds."""
    return salted_hmac("accounts.link_codes", code, algorithm="sha256").hexdigest()
