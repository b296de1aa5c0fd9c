"""Whom the workspace lets in: tokens that the gateway signed for this user, a minute ago at most."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from mcp_server.errors import UnusableKeys

ISSUER = "dexorder-gateway"
AUDIENCE = "dexorder-workspace"
MAX_LIFE_S = 60
MAX_TOKEN_CHARACTERS = 4096
REQUIRED_CLAIMS = ["iss", "aud", "sub", "iat", "jti", "exp"]

PEM = re.compile(rb"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----", re.DOTALL)

logger = logging.getLogger(__name__)


class TokenRefused(Exception):
    """The token doesn't open this workspace. The text is for the log, never for the caller."""


class KeyRing:
    """The gateway's public keys by their id, read again when the file changes.

    `path` holds one or more Ed25519 public keys as PEM. An id is the key's RFC 7638 thumbprint. Raises UnusableKeys at
    first; later, while a rotation has left the file unreadable, the last good keys stay in force.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._state()
        self._keys = _read_keys(path)

    def keys(self) -> dict[str, Ed25519PublicKey]:
        try:
            state = self._state()
            if state != self._seen:
                self._keys = _read_keys(self._path)
                self._seen = state
        except (OSError, UnusableKeys) as error:
            logger.warning("The public key file can't be read, the last good keys stay in force: %s", error)
        return self._keys

    def _state(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()
        except OSError as error:
            raise UnusableKeys(f"The public key file {self._path} can't be read: {error.strerror}.") from error
        return found.st_mtime_ns, found.st_size, found.st_ino


class Verifier:
    """Decides about one user's tokens."""

    def __init__(self, keys: KeyRing, *, user: str) -> None:
        self._keys = keys
        self._user = user

    def check(self, token: str) -> None:
        """Return for a valid token. Raises TokenRefused.

        Only EdDSA over a known key; iss, aud, sub, iat, jti and exp as the gateway writes them; exp at most 60 s away
        from now and from iat; no leeway. A token that names no key is tried against all.
        """
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise TokenRefused("too long")
        claims = self._signed_claims(token)
        if claims["sub"] != self._user:
            raise TokenRefused("another user")
        _check_life(claims)

    def _signed_claims(self, token: str) -> dict[str, Any]:
        refusal: Exception = TokenRefused("unknown key")
        try:
            for key in self._candidates(jwt.get_unverified_header(token)):
                try:
                    return _decode(token, key)
                except jwt.InvalidSignatureError as error:
                    refusal = error
        except (jwt.PyJWTError, ValueError, OverflowError, RecursionError) as error:
            refusal = error
        raise TokenRefused(type(refusal).__name__) from refusal

    def _candidates(self, header: dict[str, Any]) -> Iterable[Ed25519PublicKey]:
        keys = self._keys.keys()
        if "kid" not in header:
            return keys.values()
        return [key for identity, key in keys.items() if identity == header["kid"]]


def thumbprint(key: Ed25519PublicKey) -> str:
    """The key's id: SHA-256 over its required JWK members in order (RFC 7638, RFC 8037), base64url without padding."""
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    members = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(raw)}
    return _base64url(hashlib.sha256(json.dumps(members, separators=(",", ":"), sort_keys=True).encode()).digest())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(token: str, key: Ed25519PublicKey) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=["EdDSA"],
        audience=AUDIENCE,
        issuer=ISSUER,
        options={"require": REQUIRED_CLAIMS, "strict_aud": True},
    )
    return claims


def _check_life(claims: dict[str, Any]) -> None:
    times = claims["exp"], claims["iat"]
    if any(isinstance(each, bool) or not isinstance(each, int | float) for each in times):
        raise TokenRefused("times are not numbers")
    expires, issued = times
    # Sums and no differences: Python compares a whole number of any length with a float, but doesn't subtract it.
    if expires > time.time() + MAX_LIFE_S or expires > issued + MAX_LIFE_S:
        raise TokenRefused("expires too late")


def _read_keys(path: Path) -> dict[str, Ed25519PublicKey]:
    found: dict[str, Ed25519PublicKey] = {}
    for block in PEM.finditer(path.read_bytes()):
        try:
            key = load_pem_public_key(block.group(0))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise UnusableKeys(f"{path} holds something that is not a public key.") from error
        if not isinstance(key, Ed25519PublicKey):
            raise UnusableKeys(f"{path} holds a key that is not Ed25519.")
        found[thumbprint(key)] = key
    if not found:
        raise UnusableKeys(f"{path} holds no PEM public key.")
    return found
