"""The tokens by which a workspace knows its gateway: JWTs signed with an Ed25519 key, one user and one minute each."""

import base64
import hashlib
import json
import os
import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

ISSUER = "dexorder-gateway"
AUDIENCE = "dexorder-workspace"
# A workspace refuses any token that lives longer or is from the future, with no leeway; its clock may be this far off.
LIFE_S = 60
SKEW_S = 5
# A token is given out for its first half minute: whoever gets it has as long again to use it.
REUSE_S = 25
# As many as users can be active in one process; a token is about 400 bytes.
MAX_CACHED = 10_000
PRIVATE_FILE = "workspace-signing-key.pem"
PUBLIC_FILE = "workspace-public-key.pem"
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----[^-]+-----END [A-Z ]+-----\n?")


@dataclass(frozen=True)
class SigningKey:
    """The gateway's key; `kid` is the thumbprint of its public half (RFC 7638).

    `public_pem` is what workspaces trust: its public half, and behind it those of the other keys that the setting holds.
    """

    private: Ed25519PrivateKey
    kid: str
    public_pem: bytes


_cache: "OrderedDict[tuple[str, str], tuple[float, str]]" = OrderedDict()


def workspace_token(user_id: str) -> str:
    """A token for the workspace of `user_id`, good for 30 to 55 s more. Raises ImproperlyConfigured without a key."""
    key = signing_key()
    now = time.time()
    made_at, token = _cache.get((key.kid, user_id), (0.0, ""))
    # A clock that was set back must not prolong a token either.
    if 0 <= now - made_at < REUSE_S:
        return token
    token = _sign(key, user_id, issued_at=int(now) - SKEW_S)
    _cache[key.kid, user_id] = (now, token)
    _cache.move_to_end((key.kid, user_id))
    if len(_cache) > MAX_CACHED:
        _cache.popitem(last=False)
    return token


def signing_key() -> SigningKey:
    """The first key of WORKSPACE_SIGNING_KEY, or in development a key made once in DATA_DIR. Raises ImproperlyConfigured."""
    if settings.WORKSPACE_SIGNING_KEY:
        return _parse(settings.WORKSPACE_SIGNING_KEY)
    if not settings.DEBUG:
        raise ImproperlyConfigured("WORKSPACE_SIGNING_KEY is not set: give an Ed25519 private key in PEM.")
    return _parse(_development_pem(Path(settings.DATA_DIR) / PRIVATE_FILE))


def public_key_file() -> Path:
    """The file with the public key for workspaces, in DATA_DIR; written when it is missing or holds another key."""
    path = Path(settings.DATA_DIR) / PUBLIC_FILE
    pem = signing_key().public_pem
    if not path.is_file() or path.read_bytes() != pem:
        draft = _draft(path, pem)
        draft.replace(path)
    return path


def forget_tokens() -> None:
    """Forget the signed tokens and the keys that were read."""
    _cache.clear()
    _development_pem.cache_clear()
    _parse.cache_clear()


def thumbprint(key: Ed25519PrivateKey) -> str:
    """RFC 7638 over the members that RFC 8037 requires of an Ed25519 key."""
    raw = key.public_key().public_bytes_raw()
    members = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(raw)}
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode("ascii")
    return _base64url(hashlib.sha256(canonical).digest())


def _sign(key: SigningKey, user_id: str, *, issued_at: int) -> str:
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": user_id,
        "iat": issued_at,
        "exp": issued_at + LIFE_S,
        "jti": str(uuid4()),
    }
    return jwt.encode(claims, key.private, algorithm="EdDSA", headers={"kid": key.kid})


@lru_cache(maxsize=4)
def _parse(pems: str) -> SigningKey:
    keys = [_private_key(pem) for pem in _PEM.findall(pems) or [pems]]
    public = [key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for key in keys]
    return SigningKey(private=keys[0], kid=thumbprint(keys[0]), public_pem=b"".join(public))


def _private_key(pem: str) -> Ed25519PrivateKey:
    try:
        private = load_pem_private_key(pem.encode("ascii"), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ImproperlyConfigured("The workspace signing key is not a readable PEM private key.") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise ImproperlyConfigured("The workspace signing key must be an Ed25519 key.")
    return private


@lru_cache(maxsize=4)
def _development_pem(path: Path) -> str:
    """The key in `path`, made when it is missing: of several processes at once one makes it, and all read that one."""
    if not path.exists():
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        draft = _draft(path, pem)
        try:
            # Unlike a rename, a link never replaces the key that another process has put there meanwhile.
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text(encoding="ascii")


def _draft(path: Path, content: bytes) -> Path:
    """A file beside `path`, readable by its owner alone, with `content`, written through to the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return draft


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
