"""The browser's session: an HttpOnly cookie that stands for an identity, no longer than the identity itself holds."""

from datetime import UTC, datetime

from asgiref.sync import async_to_sync
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpRequest

from accounts.enrolment import enrol
from accounts.models import BrowserSession
from accounts.tokens import Identity
from gateway.ids import new_id

_USER, _EXPIRES, _ID = "dexorder_user", "dexorder_expires", "dexorder_session"
# A few at each sign-in keep up with those that are made, and no sign-in waits for many.
REMOVED_AT_ONCE = 100


class SignedOut(Exception):
    """You have signed out."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


def sign_in(request: HttpRequest, identity: Identity) -> None:
    """Begin or renew a session, under a new key (an old one may be known to others); it ends when the identity expires.

    A session of another user in this browser ends, as by `sign_out`. Who comes for the first time is enrolled.
    """
    async_to_sync(enrol)(identity)
    session: SessionBase = request.session
    session.cycle_key()
    known = session.get(_ID, "") if session.get(_USER) == identity.user_id else ""
    with transaction.atomic():
        if not known:
            _forget(session)
        session[_ID] = _remember(identity, known or new_id())
    session[_USER] = identity.user_id
    session[_EXPIRES] = identity.expires_at.timestamp()
    session.set_expiry(identity.expires_at)


def sign_out(request: HttpRequest) -> None:
    """End the chat's session and the sockets that it opened; one of the admin in the same browser goes on, under a new key."""
    _forget(request.session)
    for key in (_USER, _EXPIRES, _ID):
        request.session.pop(key, None)
    if SESSION_KEY not in request.session:
        request.session.flush()
        return
    request.session.set_expiry(None)
    request.session.cycle_key()


def end_sockets(request: HttpRequest) -> None:
    """Close what the chat's session of this browser has open, since the whole session is about to end."""
    _forget(request.session)


def identity_of(request: HttpRequest) -> Identity | None:
    """Who is signed in, or None."""
    user, expires = request.session.get(_USER), request.session.get(_EXPIRES)
    if not isinstance(user, str) or not isinstance(expires, float):
        return None
    expires_at = datetime.fromtimestamp(expires, tz=UTC)
    if expires_at <= datetime.now(UTC):
        return None
    return Identity(user, expires_at, session=request.session.get(_ID, ""))


def _remember(identity: Identity, session_id: str) -> str:
    past = BrowserSession.objects.select_for_update(skip_locked=True).filter(expires_at__lt=Now())
    BrowserSession.objects.filter(pk__in=[row.pk for row in past[:REMOVED_AT_ONCE]]).delete()
    stale = Session.objects.select_for_update(skip_locked=True).filter(expire_date__lt=Now())
    Session.objects.filter(pk__in=[row.pk for row in stale[:REMOVED_AT_ONCE]]).delete()
    BrowserSession.objects.update_or_create(
        id=session_id, defaults={"user_id": identity.user_id, "expires_at": identity.expires_at}
    )
    return session_id


def _forget(session: SessionBase) -> None:
    """Remove the row, which tells every process (migration 0004)."""
    if _ID in session:
        BrowserSession.objects.filter(id=session[_ID]).delete()
