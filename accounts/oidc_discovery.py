"""What an OpenID provider says of itself (OpenID Connect Discovery 1.0): fetched, checked, kept."""

import asyncio
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import structlog
from django.conf import settings

from accounts.downloads import DOWNLOAD_ERRORS, download_json
from accounts.signin_errors import ProviderAway

REFRESH_AFTER_S = 3600.0
# A provider that is down is asked once in this time, and what it last published serves for a day.
COOL_DOWN_S = 10.0
MAX_AGE_S = 24 * 3600.0
REQUIRED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
USED = (*REQUIRED, "userinfo_endpoint", "end_session_endpoint")

log = structlog.get_logger(__name__)


class Provider:
    """One provider's document, in memory."""

    def __init__(self, issuer: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.issuer = issuer
        self._clock = clock
        self._metadata: dict[str, Any] = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._lock = asyncio.Lock()

    async def metadata(self) -> dict[str, Any]:
        """Its addresses and algorithms. Raises ProviderAway when there are none, or none young enough."""
        if self._must_fetch() or not self._metadata:
            async with self._lock:
                if self._must_fetch():
                    await self._fetch()
        if self._clock() - self._fetched_at > MAX_AGE_S:
            raise ProviderAway
        return self._metadata

    def _must_fetch(self) -> bool:
        now = self._clock()
        return now - self._tried_at >= COOL_DOWN_S and now - self._fetched_at > REFRESH_AFTER_S

    async def _fetch(self) -> None:
        self._tried_at = self._clock()
        try:
            document = await download_json(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
            self._metadata = _trusted(document, issuer=self.issuer)
        except DOWNLOAD_ERRORS as error:
            log.warning("provider_not_discovered", error=type(error).__name__)
        else:
            self._fetched_at = self._clock()


def _trusted(document: Any, *, issuer: str) -> dict[str, Any]:
    """The parts of a discovery document that are used. Raises ValueError unless they are what they must be."""
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        raise ValueError("the document is another issuer's")
    found = {name: document[name] for name in USED if name in document}
    if not set(REQUIRED) <= found.keys() or not all(map(_is_address, found.values())):
        raise ValueError("an address is missing, or is none")
    offered = document.get("id_token_signing_alg_values_supported")
    algorithms = [name for name in settings.JWT_ALGORITHMS if isinstance(offered, list) and name in offered]
    methods = document.get("token_endpoint_auth_methods_supported")
    return found | {
        "issuer": issuer,
        "id_token_signing_alg_values_supported": algorithms or ["RS256"],
        # Without the list it is client_secret_basic.
        "secret_in_body": isinstance(methods, list) and "client_secret_basic" not in methods,
    }


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and urlsplit(value).scheme in {"http", "https"} and bool(urlsplit(value).hostname)
