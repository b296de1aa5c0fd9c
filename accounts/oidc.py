"""Sign-in at an OpenID provider: the code flow with PKCE, by Authlib (OpenID Connect Core 1.0, RFC 7636, RFC 9207)."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit
from weakref import WeakKeyDictionary

import structlog
from authlib.integrations.base_client import BaseApp, OAuthError
from authlib.integrations.base_client.async_app import AsyncOAuth2Mixin
from authlib.integrations.base_client.async_openid import AsyncOpenIDMixin
from authlib.integrations.httpx_client import AsyncOAuth2Client
from django.conf import settings
from httpx2 import HTTPError
from joserfc.errors import JoseError

from accounts.downloads import download_json, tls_context
from accounts.oidc_discovery import Provider
from accounts.signin_errors import ProviderAway, ProviderBroken, SignInRefused, SignInStale
from accounts.tokens import CLOCK_SKEW, Identity, is_user_id, verified_email

SCOPE = "openid email"
# An ID token says who signed in, not for how long: a working day, as with the development issuer.
SESSION_LIFE = timedelta(hours=12)
# The code's exchange, and the provider's keys.
EXCHANGE_TIMEOUT_S = 10.0
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sign-in that was begun; the browser keeps it until the provider sends it back. `next` is a path of ours."""

    state: str
    nonce: str
    verifier: str
    next: str


def is_on() -> bool:
    """Whether users sign in at a provider."""
    return bool(settings.OIDC_ISSUER)


def provider_name() -> str:
    """The provider as people know it: its host."""
    return urlsplit(settings.OIDC_ISSUER).hostname or ""


async def begin(*, redirect_uri: str, next_path: str) -> tuple[str, Attempt]:
    """The address at which the user signs in, and what to keep for `finish`. Raises ProviderAway."""
    client = await _client()
    made = await client.create_authorization_url(redirect_uri)
    return made["url"], Attempt(made["state"], made["nonce"], made["code_verifier"], next_path)


async def finish(attempt: Attempt, answer: Mapping[str, str], *, redirect_uri: str) -> Identity:
    """Who signed in, by the parameters with which the provider sent the browser back.

    Raises SignInRefused, SignInStale, ProviderAway, and ProviderBroken for an answer or ID token that is not what it must be.
    """
    if answer.get("iss", settings.OIDC_ISSUER) != settings.OIDC_ISSUER:
        raise ProviderBroken
    if "error" in answer or not answer.get("code"):
        log.info("sign_in_refused", error=answer.get("error", "")[:40])
        raise SignInRefused
    client = await _client()
    try:
        async with asyncio.timeout(EXCHANGE_TIMEOUT_S):
            claims = await _exchange(client, attempt, answer["code"], redirect_uri=redirect_uri)
    except (HTTPError, TimeoutError) as error:
        log.warning("sign_in_not_finished", error=type(error).__name__)
        raise ProviderAway from error
    except OAuthError as error:
        log.info("sign_in_refused", error=str(error.error)[:40])
        # RFC 6749, section 5.2: the code has expired or was used, or the verifier is another attempt's.
        raise (SignInStale if error.error == "invalid_grant" else ProviderBroken) from error
    except (JoseError, ValueError, TypeError, KeyError, RuntimeError) as error:
        log.warning("sign_in_not_finished", error=type(error).__name__)
        raise ProviderBroken from error
    user_id = claims["sub"]
    if not isinstance(user_id, str) or not is_user_id(user_id):
        raise ProviderBroken
    return Identity(user_id, datetime.now(UTC) + SESSION_LIFE, email=verified_email(claims))


async def sign_out_url() -> str:
    """Where the user signs out at the provider too (OpenID Connect RP-Initiated Logout); "" when it has no such page."""
    try:
        endpoint = (await _provider().metadata()).get("end_session_endpoint", "")
    except ProviderAway:
        return ""
    return f"{endpoint}?{urlencode({'client_id': settings.OIDC_CLIENT_ID})}" if endpoint else ""


_providers: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Provider]]" = WeakKeyDictionary()


def _provider() -> Provider:
    of_loop = _providers.setdefault(asyncio.get_running_loop(), {})
    return of_loop.setdefault(settings.OIDC_ISSUER, Provider(settings.OIDC_ISSUER))


class _Client(AsyncOAuth2Mixin, AsyncOpenIDMixin, BaseApp):  # type: ignore[misc]  # Authlib has no types
    client_cls = AsyncOAuth2Client

    async def fetch_jwk_set(self, force: bool = False) -> Any:  # noqa: ARG002 - Authlib's
        """The keys as they are now: sign-ins are rare enough."""
        return await download_json(self.server_metadata["jwks_uri"])


async def _client() -> _Client:
    metadata = dict(await _provider().metadata())
    in_body = metadata.pop("secret_in_body")
    secret = settings.OIDC_CLIENT_SECRET
    method = "none" if not secret else "client_secret_post" if in_body else "client_secret_basic"
    options = {
        "scope": SCOPE,
        "code_challenge_method": "S256",
        "token_endpoint_auth_method": method,
        "timeout": EXCHANGE_TIMEOUT_S,
        "trust_env": False,
        "verify": await tls_context(),
    }
    return _Client(
        None, client_id=settings.OIDC_CLIENT_ID, client_secret=secret or None, client_kwargs=options, **metadata
    )


async def _exchange(client: _Client, attempt: Attempt, code: str, *, redirect_uri: str) -> dict[str, Any]:
    token = await client.fetch_access_token(redirect_uri, code=code, code_verifier=attempt.verifier)
    options = {
        "iss": {"essential": True, "value": settings.OIDC_ISSUER},
        "aud": {"essential": True, "value": settings.OIDC_CLIENT_ID},
    }
    leeway = int(CLOCK_SKEW.total_seconds())
    claims = await client.parse_id_token(token, attempt.nonce, claims_options=options, leeway=leeway)
    if claims is None:
        raise ValueError("there is no ID token")
    if settings.AUTO_ENROL_TIER and "email" not in claims and "userinfo_endpoint" in client.server_metadata:
        return await _with_email(client, token, claims)
    return dict(claims)


async def _with_email(client: _Client, token: Any, claims: dict[str, Any]) -> dict[str, Any]:
    """The claims with the e-mail address, which a strict provider tells at its userinfo endpoint only."""
    more = await client.userinfo(token=token)
    if more.get("sub") != claims["sub"]:
        raise ValueError("the user's details are another user's")
    return {**claims, "email": more.get("email"), "email_verified": more.get("email_verified")}
