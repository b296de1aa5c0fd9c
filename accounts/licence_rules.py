"""What a licence's row may hold, whoever writes it: a command, the admin, demo data."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import ValidationError as DjangoValidationError
from django.core.validators import validate_email
from pydantic import BaseModel, ValidationError

from accounts.mcp_servers import is_allowed
from accounts.models import UserLicence
from accounts.tiers import FEATURES, Features, Limits, Tier, features_of, limits_of
from accounts.tokens import is_user_id

USER_ID_FAULT = "must have 1 to 255 printable characters, and no space at its ends."


class LicenceInvalid(Exception):
    """The licence can't be set so; `faults` says of each column, in words for staff, what is wrong with it."""

    def __init__(self, faults: dict[str, str]) -> None:
        super().__init__(" ".join(f"{column}: {fault}" for column, fault in faults.items()))
        self.faults = faults


def check_licence(row: UserLicence) -> None:
    """Raise LicenceInvalid unless the row's values fit the typed model and MCP_SERVER_URL_ALLOWLIST."""
    faults = {
        "user_id": "" if is_user_id(row.user_id) else USER_ID_FAULT,
        "email": _email_fault(row.email),
        "mcp_server_url": _server_fault(row.mcp_server_url),
        "expires_at": _expiry_fault(row.expires_at),
    }
    if row.license_type in FEATURES:
        tier = cast("Tier", str(row.license_type))
        faults["features"] = _override_fault(Features, row.features, lambda own: features_of(tier, own))
        faults["resource_limits"] = _override_fault(Limits, row.resource_limits, lambda own: limits_of(tier, own))
    else:
        faults["license_type"] = f"must be one of {', '.join(FEATURES)}."
    if any(faults.values()):
        raise LicenceInvalid({column: fault for column, fault in faults.items() if fault})


def _email_fault(email: str) -> str:
    try:
        if email:
            validate_email(email)
    except DjangoValidationError:
        return "must be an e-mail address, or blank."
    return ""


def _expiry_fault(expires_at: datetime | None) -> str:
    """PostgreSQL holds moments that Python can't read: a row with one would break every page that shows it."""
    try:
        if expires_at is not None:
            expires_at.astimezone(UTC)
    except OverflowError:
        return "must lie in the years 1 to 9999, UTC."
    return ""


def _server_fault(url: str) -> str:
    if not url or is_allowed(url, settings.MCP_SERVER_URL_ALLOWLIST):
        return ""
    return "must lie below an entry of MCP_SERVER_URL_ALLOWLIST, or be blank."


def _override_fault(model: type[BaseModel], own: object, read: Callable[[dict[str, Any]], BaseModel]) -> str:
    if not isinstance(own, dict):
        return "must be a JSON object."
    try:
        read(own)
    except ValidationError as error:
        return " ".join(_sentence(model, dict(item)) for item in error.errors(include_url=False))
    return ""


def _sentence(model: type[BaseModel], fault: dict[str, Any]) -> str:
    path = ".".join(map(str, fault["loc"]))
    if fault["type"] == "extra_forbidden":
        return f"There is no key {path}; the keys are {', '.join(model.model_fields)}."
    # Pydantic puts this before the text of a check of our own.
    said = str(fault["msg"]).removeprefix("Value error, ").removeprefix("Input should ").removeprefix("be ")
    return f"{path} {said if said.startswith('must ') else f'must be {said}'}."
