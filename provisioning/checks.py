"""A signing key that workspaces could not trust is told at start, not at the first user's first message."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured

from provisioning.tokens import signing_key


def check_signing_key(**_kwargs: Any) -> list[CheckMessage]:
    """An error when WORKSPACE_SIGNING_KEY is no Ed25519 key in PEM; it may be missing in development, which makes one."""
    if settings.DEBUG and not settings.WORKSPACE_SIGNING_KEY:
        return []
    try:
        signing_key()
    except ImproperlyConfigured as error:
        hint = "Make one with `openssl genpkey -algorithm ed25519`, and name its file in WORKSPACE_SIGNING_KEY_FILE."
        return [Error(str(error), hint=hint, id="provisioning.E001")]
    return []
