"""A sign-in that the browser has begun, kept in a signed cookie of its own until the provider sends it back."""

import hashlib
from dataclasses import asdict

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse

from accounts.oidc import Attempt
from accounts.signin_errors import SignInStale

# Enough to find a password; each tab has a cookie of its own.
MAX_AGE_S = 600
PATH = "/signin/"
_SALT = "dexorder.signin"


def keep(response: HttpResponse, attempt: Attempt) -> None:
    """Have the browser keep `attempt`; it goes to the sign-in's own addresses only."""
    response.set_cookie(
        _name(attempt.state),
        signing.dumps(asdict(attempt), salt=_SALT),
        max_age=MAX_AGE_S,
        path=PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def take(request: HttpRequest, state: str) -> Attempt:
    """The attempt of that state in this browser. Raises SignInStale when there is none, or none young enough."""
    try:
        kept = signing.loads(request.COOKIES.get(_name(state), ""), salt=_SALT, max_age=MAX_AGE_S)
    except signing.BadSignature as error:
        raise SignInStale from error
    attempt = Attempt(**kept)
    if attempt.state != state:
        raise SignInStale
    return attempt


def drop(response: HttpResponse, state: str) -> None:
    """Have the browser forget it: each is used once."""
    response.delete_cookie(_name(state), path=PATH, samesite="Lax")


def _name(state: str) -> str:
    return f"signin_{hashlib.sha256(state.encode(errors='replace')).hexdigest()[:16]}"
