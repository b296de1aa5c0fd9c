"""The browser's session: an HttpOnly cookie that stands for an identity, no longer than the identity itself holds."""

from datetime import UTC, datetime

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

from accounts.tokens import Identity

_USER, _EXPIRES = "dexorder_user", "dexorder_expires"


def sign_in(request: HttpRequest, identity: Identity) -> None:
    """Begin or renew a session, under a new id (an old one may be known to others); it ends when the identity expires."""
    session: SessionBase = request.session
    session.cycle_key()
    session[_USER] = identity.user_id
    session[_EXPIRES] = identity.expires_at.timestamp()
    session.set_expiry(identity.expires_at)


def sign_out(request: HttpRequest) -> None:
    """End the chat's session; one of the admin in the same browser goes on, under a new id."""
    for key in (_USER, _EXPIRES):
        request.session.pop(key, None)
    if SESSION_KEY not in request.session:
        request.session.flush()
        return
    request.session.set_expiry(None)
    request.session.cycle_key()


def identity_of(request: HttpRequest) -> Identity | None:
    """Who is signed in, or None."""
    user, expires = request.session.get(_USER), request.session.get(_EXPIRES)
    if not isinstance(user, str) or not isinstance(expires, float):
        return None
    expires_at = datetime.fromtimestamp(expires, tz=UTC)
    return Identity(user, expires_at) if expires_at > datetime.now(UTC) else None
