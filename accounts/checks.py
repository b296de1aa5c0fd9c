"""What an operator got wrong about tokens is said at start, not at the first refused user."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's name

from accounts.tiers import FEATURES
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


def check_sign_in(**_kwargs: Any) -> list[CheckMessage]:
    """Errors for a sign-in that could not work, and for a tier that there is not."""
    found: list[CheckMessage] = []
    if bool(settings.OIDC_ISSUER) != bool(settings.OIDC_CLIENT_ID):
        hint = "OIDC_CLIENT_SECRET may be empty, for a public client."
        found.append(Error("OIDC_ISSUER and OIDC_CLIENT_ID go together.", hint=hint, id="accounts.E003"))
    if settings.AUTO_ENROL_TIER and settings.AUTO_ENROL_TIER not in FEATURES:
        found.append(Error(f"AUTO_ENROL_TIER must be one of {', '.join(FEATURES)}, or empty.", id="accounts.E004"))
    if settings.OIDC_ISSUER and settings.JWT_ISSUER not in {"", settings.OIDC_ISSUER}:
        hint = "A `sub` is the user's id whichever of them says it: make sure that they mean the same people."
        found.append(Warning("OIDC_ISSUER and JWT_ISSUER are two.", hint=hint, id="accounts.W001"))
    return found
