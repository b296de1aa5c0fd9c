"""What a licence includes and where it ends, in words for its user. Pure."""

from dataclasses import dataclass

from accounts.licences import Licence
from accounts.tiers import Features, Limits

_MODELS: dict[tuple[str, ...] | None, str] = {None: "All", ("small",): "Small", ("large",): "Large", (): "None"}
_SECONDS_OF = {"h": 3600, "min": 60, "s": 1}


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of the page."""

    name: str
    value: str


def facts_of(licence: Licence, *, labels: dict[str, str]) -> list[tuple[str, list[Fact]]]:
    """Groups of facts, each with its title; `labels` are the channels' names for people."""
    return [
        ("Included", _included(licence.features, labels)),
        ("Limits", _limits(licence.limits)),
        ("Workspace", _workspace(licence.limits)),
    ]


def _included(features: Features, labels: dict[str, str]) -> list[Fact]:
    return [
        Fact("Models", _MODELS.get(features.models, "Small and large")),
        Fact("Channels", _names(features.channels, labels)),
        Fact("Workflows", _names(features.workflows, {})),
        Fact("Deploying strategies", "Yes" if features.deploy else "No"),
        Fact("Schedules", "Yes" if features.schedules else "No"),
    ]


def _limits(limits: Limits) -> list[Fact]:
    cost = limits.cost_usd_per_month
    return [
        Fact("Messages a minute", _count(limits.messages_per_minute)),
        Fact("Messages a day", _count(limits.messages_per_day)),
        Fact("Answers at once", _count(limits.turns_at_once)),
        Fact("Tokens a month", _count(limits.tokens_per_month)),
        Fact("Costs a month", "No limit" if cost is None else f"${cost:,.2f}"),
    ]


def _workspace(limits: Limits) -> list[Fact]:
    return [
        Fact("Memory", _quantity(limits.memory)),
        Fact("CPU", _cores(limits.cpu)),
        Fact("Storage", _quantity(limits.storage)),
        Fact("Stops when idle", f"After {_duration(limits.idle_s)}" if limits.idle_s else "Never"),
    ]


def _names(names: tuple[str, ...] | None, labels: dict[str, str]) -> str:
    if names is None:
        return "All"
    return ", ".join(labels.get(name, name.replace("_", " ").capitalize()) for name in names) or "None"


def _count(value: int | None) -> str:
    return "No limit" if value is None else f"{value:,}"


def _quantity(value: str) -> str:
    """`512Mi` is 512 MiB."""
    return f"{int(value[:-2]):,} {value[-2:]}B"


def _cores(value: str) -> str:
    cores = int(value[:-1]) / 1000 if value.endswith("m") else int(value)
    return f"{cores:g} core" if cores == 1 else f"{cores:g} cores"


def _duration(seconds: int) -> str:
    """In the largest unit that leaves no rest."""
    unit, size = next((unit, size) for unit, size in _SECONDS_OF.items() if seconds % size == 0)
    return f"{seconds // size:,} {unit}"
