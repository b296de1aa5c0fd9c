"""The named users of a laptop: each shows what one kind of user sees. With DEBUG only."""

import secrets
from dataclasses import dataclass, replace
from datetime import timedelta

from django.conf import settings
from django.contrib.auth import get_user_model
from django.utils import timezone

from accounts.licences import LicenceChange, set_licence
from accounts.models import UserLicence

ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class DemoUser:
    """A user of the sign-in page, and what signing in as them shows."""

    user_id: str
    shows: str
    change: LicenceChange | None


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What was made; `admin_password` only when the staff account is new: it is kept nowhere."""

    made: list[str]
    admin_password: str | None


def demo_users() -> list[DemoUser]:
    """The users of a laptop, the most useful one first."""
    gone = timezone.now() - timedelta(days=30)
    return [
        DemoUser("demo-pro", "The Pro tier: large and small models", LicenceChange(tier="pro")),
        DemoUser("demo-free", "The Free tier: small models, a small workspace", LicenceChange(tier="free")),
        DemoUser("demo-enterprise", "The Enterprise tier: all models, no idle stop", LicenceChange(tier="enterprise")),
        DemoUser("demo-expired", "A licence that has run out", LicenceChange(tier="pro", expires_at=gone)),
        DemoUser("demo-unlicensed", "An account without a licence", None),
    ]


def make_demo_users() -> DemoReport:
    """Make the demo users that are missing and the staff account; what exists stays as it is.

    Raises RuntimeError without DEBUG.
    """
    if not settings.DEBUG:
        raise RuntimeError("Demo users are made with DEBUG=true only.")
    made = [user.user_id for user in demo_users() if _make(user)]
    return DemoReport(made, _make_admin())


def _make(user: DemoUser) -> bool:
    if user.change is None or UserLicence.objects.filter(user_id=user.user_id).exists():
        return False
    set_licence(user.user_id, replace(user.change, email=f"{user.user_id}@example.com"))
    return True


def _make_admin() -> str | None:
    model = get_user_model()
    if model.objects.filter(username=ADMIN).exists():
        return None
    password = secrets.token_urlsafe(12)
    model.objects.create_superuser(ADMIN, password=password)
    return password
