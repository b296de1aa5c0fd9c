"""The development issuer: signs tokens for the demo users on a laptop. On with DEBUG and without JWT_JWKS_URL only."""

import base64
import hashlib
import json
import os
import tempfile
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from jwt.algorithms import RSAAlgorithm

from gateway.ids import new_id

ALGORITHM = "RS256"
# Whatever port it serves on, a token made by a command is good for the server.
DEFAULT_ISSUER = "dexorder-development"
DEFAULT_TTL = timedelta(hours=12)
MAX_TTL = timedelta(days=30)


class IssuerOff(Exception):
    """The development issuer is off: it runs with DEBUG=true and without JWT_JWKS_URL only."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


def is_on() -> bool:
    """Whether this gateway signs tokens itself."""
    return bool(settings.DEBUG) and not settings.JWT_JWKS_URL


def issuer_url() -> str:
    """The `iss` of the tokens."""
    return settings.JWT_ISSUER or DEFAULT_ISSUER


def issue_token(user_id: str, *, ttl: timedelta = DEFAULT_TTL) -> str:
    """A JWT for `user_id`. Raises IssuerOff, and ValueError for a life that is not positive or over 30 days."""
    if not timedelta(0) < ttl <= MAX_TTL:
        raise ValueError("A token lives for more than 0 s and at most 30 days.")
    now = datetime.now(UTC)
    claims = {
        "iss": issuer_url(),
        "aud": settings.JWT_AUDIENCE,
        "sub": user_id,
        "iat": now,
        "exp": now + ttl,
        "jti": new_id(),
    }
    key = _key()
    return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": _public_jwk(key)["kid"]})


def jwks() -> dict[str, Any]:
    """The public key as a JWKS document. Raises IssuerOff."""
    return {"keys": [_public_jwk(_key())]}


def _key() -> rsa.RSAPrivateKey:
    if not is_on():
        raise IssuerOff
    return _load(Path(settings.DATA_DIR) / "issuer" / "key.pem")


@lru_cache(maxsize=4)
def _load(file: Path) -> rsa.RSAPrivateKey:
    if not file.exists():
        _make(file)
    return _parsed(file.read_bytes())


@lru_cache(maxsize=4)
def _parsed(pem: bytes) -> rsa.RSAPrivateKey:
    # Which includes a proof that it is a good key, of 50 ms.
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("The development issuer's key is no RSA key. Delete it, and a new one is made.")
    return key


def _make(file: Path) -> None:
    """Write a new key, whole or not at all; of two processes that race, the first one's stays."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # A file of mkstemp is readable by its owner only.
    handle, made = tempfile.mkstemp(dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(pem)
            out.flush()
            os.fsync(out.fileno())
        os.link(made, file)
    except FileExistsError:
        return
    finally:
        os.unlink(made)


@lru_cache(maxsize=4)
def _public_jwk(key: rsa.RSAPrivateKey) -> dict[str, Any]:
    public = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**public, "kid": _thumbprint(public), "use": "sig", "alg": ALGORITHM}


def _thumbprint(public: dict[str, Any]) -> str:
    """The key's id by RFC 7638."""
    canonical = json.dumps({name: public[name] for name in ("e", "kty", "n")}, separators=(",", ":"), sort_keys=True)
    return base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).rstrip(b"=").decode()
