"""What an operator got wrong about tokens is said at start, not at the first refused user."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from accounts.tokens import FAMILIES


def check_tokens(**_kwargs: Any) -> list[CheckMessage]:
    """Errors for algorithms that a public key can't verify, and for keys whose issuer is not named."""
    found: list[CheckMessage] = []
    # `none` needs no key, and HS* would make a secret of the public key.
    unusable = [name for name in settings.JWT_ALGORITHMS if name[:2] not in FAMILIES]
    if unusable:
        message = f"JWT_ALGORITHMS: {', '.join(unusable)} can't be used. Take some of RS256, PS256, ES256, EdDSA."
        found.append(Error(message, id="accounts.E001"))
    if settings.JWT_JWKS_URL and not settings.JWT_ISSUER:
        hint = "Set it to the `iss` of your identity provider's tokens."
        found.append(Error("JWT_JWKS_URL is set, JWT_ISSUER is not.", hint=hint, id="accounts.E002"))
    return found
