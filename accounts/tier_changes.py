"""What another tier would change in a licence, for staff to see before they decide. Pure."""

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from accounts.models import UserLicence
from accounts.tiers import Features, Limits, Tier, features_of, limits_of

LABELS = {
    "channels": "Channels",
    "models": "Models",
    "workflows": "Workflows",
    "deploy": "Deploying strategies",
    "schedules": "Schedules",
    "memory": "Memory",
    "cpu": "CPU",
    "storage": "Storage",
    "idle_s": "Stopped when idle for",
    "messages_per_minute": "Messages a minute",
    "messages_per_day": "Messages a day",
    "turns_at_once": "Turns at once",
    "tokens_per_month": "Tokens a month",
    "cost_usd_per_month": "Cost a month",
}
UNREADABLE = "Its own settings can't be read: correct them first."


@dataclass(frozen=True, slots=True)
class Value:
    """A feature or limit in words; `own` = the licence's own, which differs from its tier or is kept whatever the tier."""

    label: str
    text: str
    own: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """A feature or limit that another tier changes."""

    label: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class TierChange:
    """What becomes of a licence; `fault` says why nothing can be said. `kept` are its own settings, which no tier changes."""

    licence: UserLicence
    differences: list[Difference]
    kept: list[Value]
    fault: str = ""


def allowed_by(row: UserLicence) -> list[Value]:
    """Everything that a licence allows, in words; nothing for one that can't be read."""
    try:
        features, limits = _read(row, row.license_type)
    except (ValidationError, KeyError, TypeError):
        return []
    own = {**row.features, **row.resource_limits}
    return [Value(LABELS[name], _words(name, value), name in own) for name, value in _values(features, limits).items()]


def tier_change(row: UserLicence, tier: Tier) -> TierChange:
    """What giving `tier` to the licence changes."""
    try:
        old, new = (_values(*_read(row, each)) for each in (row.license_type, tier))
    except (ValidationError, KeyError, TypeError):
        return TierChange(row, [], [], UNREADABLE)
    differences = [
        Difference(LABELS[name], _words(name, old[name]), _words(name, new[name]))
        for name in old
        if old[name] != new[name]
    ]
    kept = [value for value in allowed_by(row) if value.own]
    return TierChange(row, differences, kept)


def _read(row: UserLicence, tier: Any) -> tuple[Features, Limits]:
    return features_of(tier, row.features), limits_of(tier, row.resource_limits)


def _values(features: Features, limits: Limits) -> dict[str, Any]:
    return features.model_dump() | limits.model_dump()


def _words(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    if value is None:
        return "all" if name in Features.model_fields else "no limit"
    if name == "idle_s":
        return _duration(value)
    return f"${value:,.2f}" if name == "cost_usd_per_month" else f"{value:,}" if isinstance(value, int) else str(value)


def _duration(seconds: int) -> str:
    if seconds == 0:
        return "never"
    return f"{seconds // 60} min" if seconds % 60 == 0 else f"{seconds} s"
