"""The keys that tokens are verified with: fetched from JWT_JWKS_URL, or the development issuer's own."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import httpx
import jwt
import structlog
from django.conf import settings

from accounts import issuer
from accounts.downloads import download_json

MAX_KEYS = 100
# Keys are read again this often, so that one that the issuer withdrew stops counting.
REFRESH_AFTER_S = 300.0
# An unknown key id leads to one fetch in this time, however many tokens name one; a rotation is accepted within it.
COOL_DOWN_S = 10.0
# With the issuer down its last keys serve this long.
MAX_AGE_S = 24 * 3600.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key; `family` is RSA, EC or OKP. `algorithm` is the only one that its issuer allows, if it names one."""

    key: Any
    family: str
    algorithm: str = ""


class KeySource(Protocol):
    """Where keys come from."""

    @property
    def default_issuer(self) -> str:
        """Who signs when JWT_ISSUER is not set."""

    async def find(self, kid: str) -> SigningKey | None:
        """The key of that id; with an empty one the only key there is. None when there is none."""

    async def find_newer(self, kid: str, *, than: SigningKey | None) -> SigningKey | None:
        """The key that has taken the place of `than` since it was found; None when nothing has."""


class RemoteKeys:
    """The keys at a JWKS URL (RFC 7517), kept in memory."""

    default_issuer = ""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.url = url
        self._clock = clock
        self._keys: dict[str, SigningKey] = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._lock = asyncio.Lock()

    async def find(self, kid: str) -> SigningKey | None:
        """See KeySource.find."""
        if self._must_wait(kid):
            async with self._lock:
                if self._must_fetch(kid):
                    await self._fetch()
        if self._clock() - self._fetched_at > MAX_AGE_S:
            return None
        return _pick(self._keys, kid)

    async def find_newer(self, kid: str, *, than: SigningKey | None) -> SigningKey | None:
        """See KeySource.find_newer. Forged signatures lead to no more fetches than unknown key ids do."""
        if not self._cools_down():
            async with self._lock:
                if not self._cools_down():
                    await self._fetch()
        key = _pick(self._keys, kid)
        return None if key == than else key

    def _must_wait(self, kid: str) -> bool:
        """A known key serves while another task fetches; for an unknown one that fetch may bring it."""
        return _pick(self._keys, kid) is None if self._lock.locked() else self._must_fetch(kid)

    def _must_fetch(self, kid: str) -> bool:
        if self._cools_down():
            return False
        return self._clock() - self._fetched_at > REFRESH_AFTER_S or _pick(self._keys, kid) is None

    def _cools_down(self) -> bool:
        return self._clock() - self._tried_at < COOL_DOWN_S

    async def _fetch(self) -> None:
        self._tried_at = self._clock()
        try:
            document = await download_json(self.url)
            # Up to 100 keys to be read: milliseconds in which no token of the process would be streamed.
            keys = await asyncio.to_thread(parse_jwks, document)
        except (httpx.HTTPError, TimeoutError, ValueError, RecursionError) as error:
            log.warning("jwks_not_fetched", error=type(error).__name__)
            return
        if not keys:
            log.warning("jwks_without_a_usable_key")
            return
        self._keys, self._fetched_at = keys, self._clock()


class DevelopmentKeys:
    """The development issuer's own key, without a request to itself."""

    @property
    def default_issuer(self) -> str:
        """The issuer's own URL."""
        return issuer.issuer_url()

    async def find(self, kid: str) -> SigningKey | None:
        """See KeySource.find."""
        keys = await asyncio.to_thread(lambda: parse_jwks(issuer.jwks()))
        return _pick(keys, kid)

    async def find_newer(self, kid: str, *, than: SigningKey | None) -> SigningKey | None:  # noqa: ARG002 - the protocol's
        """Never one: the key stays."""
        return None


class NoKeys:
    """Neither a JWKS URL nor a development issuer: no token is valid."""

    default_issuer = ""

    async def find(self, kid: str) -> SigningKey | None:  # noqa: ARG002 - the protocol's
        """Never a key."""
        return None

    find_newer = DevelopmentKeys.find_newer


_remote: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, RemoteKeys]]" = WeakKeyDictionary()


def key_source() -> KeySource:
    """The source that the settings name; remote keys are kept for each URL and event loop."""
    if not settings.JWT_JWKS_URL:
        return DevelopmentKeys() if issuer.is_on() else NoKeys()
    of_loop = _remote.setdefault(asyncio.get_running_loop(), {})
    return of_loop.setdefault(settings.JWT_JWKS_URL, RemoteKeys(settings.JWT_JWKS_URL))


def parse_jwks(document: Any) -> dict[str, SigningKey]:
    """The signing keys of a JWKS document by their ids; keys of other kinds and uses are passed over.

    Raises ValueError when it is no JWKS.
    """
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("no JWKS")  # noqa: TRY004 - the document's value is at fault, not the caller's type
    keys: dict[str, SigningKey] = {}
    for entry in document["keys"][:MAX_KEYS]:
        if (
            not isinstance(entry, dict)
            or entry.get("use", "sig") != "sig"
            or str(entry.get("kty")) not in {"RSA", "EC", "OKP"}
            or "d" in entry  # a private key that was published verifies nothing
        ):
            continue
        try:
            keys[str(entry.get("kid", ""))] = SigningKey(jwt.PyJWK(entry).key, entry["kty"], entry.get("alg") or "")
        except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
            log.warning("jwk_passed_over", error=type(error).__name__)
    return keys


def _pick(keys: dict[str, SigningKey], kid: str) -> SigningKey | None:
    if kid:
        return keys.get(kid)
    return next(iter(keys.values())) if len(keys) == 1 else None
