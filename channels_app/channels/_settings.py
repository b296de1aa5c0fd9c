"""A channel's own settings, named in its file and nowhere else."""

import re
from urllib.parse import urlsplit

from django.conf import settings

from gateway import env

MIN_SECRET_CHARS = 32
_LABEL = re.compile(r"[^\W_](?:[^\W_]|[ .&'-]){0,39}")


def setting(name: str, default: str = "") -> str:
    """The value of the environment (see gateway.env), or of Django's settings where they have the name."""
    value = getattr(settings, name, None)
    return env.text(name, default) if value is None else str(value)


def half_done(*names: str) -> list[str]:
    """The fault of settings of which some are set and some are not."""
    found = [bool(setting(name)) for name in names]
    return [f"{', '.join(names[:-1])} and {names[-1]} must be set together."] if any(found) and not all(found) else []


def bad_address(name: str, default: str = "") -> list[str]:
    """The fault of an address that is not https; http is for a machine of one's own, with DEBUG."""
    address = urlsplit(setting(name, default))
    schemes = {"https", "http"} if settings.DEBUG else {"https"}
    good = (
        address.scheme in schemes and address.hostname and not (address.username or address.query or address.fragment)
    )
    return [] if good or not address.geturl() else [f"{name} must be an https address."]


def bad_label(name: str) -> list[str]:
    """The fault of a name for people that is not short, or holds what is markup anywhere."""
    good = not setting(name) or _LABEL.fullmatch(setting(name))
    return (
        []
        if good
        else [f"{name} must be 1 to 40 letters, digits, spaces and . & ' -, and begin with one of the first two."]
    )


def weak_secret(name: str) -> list[str]:
    """The fault of a secret that is shorter than a SHA-256, below which HMAC loses strength."""
    short = 0 < len(setting(name)) < MIN_SECRET_CHARS
    return [f"{name} must have at least {MIN_SECRET_CHARS} characters."] if short else []
