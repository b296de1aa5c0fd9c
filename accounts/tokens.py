"""Verify a JWT: signature by a known key, issuer, audience, life, subject (RFC 7519, RFC 8725)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

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


class _OtherKey(TokenInvalid):
    """The token was signed with another key than the one known under its id."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who speaks, and until when that was vouched for.

    `session` is the browser session's id, "" for a token; `email` an address that the issuer has verified, or "".
    """

    user_id: str
    expires_at: datetime
    session: str = ""
    email: str = field(default="", compare=False)


async def verify_token(token: str, *, keys: KeySource | None = None) -> Identity:
    """The identity that `token` proves, by the keys of JWT_JWKS_URL or of the development issuer.

    Raises TokenInvalid, whatever is wrong with it: the caller's answer is the same.
    """
    header = _header(token)
    source = keys or key_source()
    kid = str(header.get("kid", ""))
    key = await source.find(kid)
    try:
        claims = _claims(token, key, algorithm=header["alg"], default_issuer=source.default_issuer)
    except _OtherKey:
        # The issuer may have a new key under the old id, or names none.
        key = await source.find_newer(kid, than=key)
        claims = _claims(token, key, algorithm=header["alg"], default_issuer=source.default_issuer)
    try:
        expires_at = datetime.fromtimestamp(claims["exp"], tz=UTC)
        identity = Identity(claims["sub"], expires_at, email=verified_email(claims))
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


def verified_email(claims: Mapping[str, Any]) -> str:
    """The address in an issuer's claims, if it says that it has verified it (OpenID Connect Core, section 5.1)."""
    email = claims.get("email")
    if claims.get("email_verified") is not True or not isinstance(email, str):
        return ""
    try:
        validate_email(email)
    except ValidationError:
        return ""
    return email


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


def _claims(token: str, key: SigningKey | None, *, algorithm: str, default_issuer: str) -> dict[str, Any]:
    """Raises TokenInvalid, and _OtherKey when the key did not sign it."""
    if key is None:
        raise TokenInvalid
    if key.family != FAMILIES[algorithm[:2]] or key.algorithm not in {"", algorithm}:
        raise _OtherKey
    try:
        return jwt.decode(
            token,
            key.key,
            algorithms=[algorithm],
            audience=settings.JWT_AUDIENCE,
            issuer=settings.JWT_ISSUER or default_issuer,
            leeway=CLOCK_SKEW,
            options={"require": REQUIRED, "enforce_minimum_key_length": True},
        )
    except jwt.InvalidSignatureError as error:
        raise _OtherKey from error
    except (jwt.PyJWTError, ValueError, RecursionError, TypeError) as error:
        raise TokenInvalid from error
