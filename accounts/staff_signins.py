"""Who of the staff signed in to the admin."""

from typing import Any

from django.contrib.auth.models import AbstractUser

from accounts import audit


def note(*, user: AbstractUser, **_signal: Any) -> None:
    """Write a sign-in to the audit; Django's login tells of it by a signal only."""
    name = user.get_username()
    audit.record(audit.Event(actor=audit.staff(name), action="staff.signed_in", object=f"staff:{name}"))
