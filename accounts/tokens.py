"""Verify a JWT: signature by a known key, issuer, audience, life, subject (RFC 7519, RFC 8725)."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from django.conf import settings

from accounts.jwks import KeySource, SigningKey, key_source

# A token of an identity provider is 1-2 KiB; what is longer is not read.
MAX_TOKEN_BYTES = 8 * 1024
MAX_USER_ID_CHARS = 255
REQUIRED = ["exp", "iat", "aud", "iss", "sub"]
# Clocks kept by NTP differ by less: a token just issued must not be refused for having been issued "tomorrow".
CLOCK_SKEW = timedelta(seconds=5)
# A header that says where the key is would let the sender choose it.
FORBIDDEN_HEADERS = frozenset({"jku", "x5u", "x5c", "jwk", "crit"})
FAMILIES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class TokenInvalid(Exception):
    """The token is not valid."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who speaks, and until when that was vouched for; `session` is the browser session's id, "" for a token."""

    user_id: str
    expires_at: datetime
    session: str = ""


async def verify_token(token: str, *, keys: KeySource | None = None) -> Identity:
    """The identity that `token` proves, by the keys of JWT_JWKS_URL or of the development issuer.

    Raises TokenInvalid, whatever is wrong with it: the caller's answer is the same.
    """
    header = _header(token)
    source = keys or key_source()
    key = await source.find(str(header.get("kid", "")))
    if key is None or key.family != FAMILIES.get(str(header["alg"])[:2]) or key.algorithm not in {"", header["alg"]}:
        raise TokenInvalid
    claims = _claims(token, key, default_issuer=source.default_issuer)
    try:
        identity = Identity(claims["sub"], datetime.fromtimestamp(claims["exp"], tz=UTC))
    except (OverflowError, OSError, ValueError, TypeError) as error:
        raise TokenInvalid from error
    # The leeway is for tokens from the near future; none lives longer for it.
    if not is_user_id(identity.user_id) or identity.expires_at <= datetime.now(UTC):
        raise TokenInvalid
    return identity


def is_user_id(value: str) -> bool:
    """Whether `value` may be a user's id: 1 to 255 printable characters that PostgreSQL and logs can hold."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return 0 < len(value) <= MAX_USER_ID_CHARS and not _CONTROL.search(value) and value.strip() == value


def _header(token: str) -> dict[str, Any]:
    if not token or len(token) > MAX_TOKEN_BYTES or not token.isascii():
        raise TokenInvalid
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise TokenInvalid from error
    algorithm = header.get("alg")
    if (
        algorithm not in settings.JWT_ALGORITHMS
        or str(algorithm)[:2] not in FAMILIES
        or FORBIDDEN_HEADERS & header.keys()
    ):
        raise TokenInvalid
    return header


def _claims(token: str, key: SigningKey, *, default_issuer: str) -> dict[str, Any]:
    try:
        return jwt.decode(
            token,
            key.key,
            algorithms=[name for name in settings.JWT_ALGORITHMS if FAMILIES.get(name[:2]) == key.family],
            audience=settings.JWT_AUDIENCE,
            issuer=settings.JWT_ISSUER or default_issuer,
            leeway=CLOCK_SKEW,
            options={"require": REQUIRED, "enforce_minimum_key_length": True},
        )
    except (jwt.PyJWTError, ValueError, RecursionError, TypeError) as error:
        raise TokenInvalid from error
