"""What a licence includes and where it ends, in words for its user. Pure."""

from dataclasses import dataclass
from decimal import Decimal

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from accounts.licences import Licence
from accounts.tiers import Features, Limits
from channels_app.charts import money_words, whole

_MODELS: dict[tuple[str, ...] | None, str] = {
    None: gettext_noop("All"),
    ("small",): gettext_noop("Small"),
    ("large",): gettext_noop("Large"),
    (): gettext_noop("None"),
}
_SEVERAL = gettext_noop("Small and large")
_SECONDS_OF = {"h": 3600, "min": 60, "s": 1}


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of the page."""

    name: str
    value: str


def facts_of(licence: Licence, *, labels: dict[str, str]) -> list[tuple[str, list[Fact]]]:
    """Groups of facts, each with its title; `labels` are the channels' names for people."""
    return [
        (_("Included"), _included(licence.features, labels)),
        (_("Limits"), _limits(licence.limits)),
        (_("Workspace"), _workspace(licence.limits)),
    ]


def _included(features: Features, labels: dict[str, str]) -> list[Fact]:
    return [
        Fact(_("Models"), _(_MODELS.get(features.models, _SEVERAL))),
        Fact(_("Channels"), _names(features.channels, labels)),
        Fact(_("Workflows"), _names(features.workflows, {})),
        Fact(_("Deploying strategies"), _yes(features.deploy)),
        Fact(_("Schedules"), _yes(features.schedules)),
    ]


def _limits(limits: Limits) -> list[Fact]:
    cost = limits.cost_usd_per_month
    return [
        Fact(_("Messages a minute"), _count(limits.messages_per_minute)),
        Fact(_("Messages a day"), _count(limits.messages_per_day)),
        Fact(_("Answers at once"), _count(limits.turns_at_once)),
        Fact(_("Tokens a month"), _count(limits.tokens_per_month)),
        Fact(_("Costs a month"), _("No limit") if cost is None else money_words(Decimal(str(cost)))),
    ]


def _workspace(limits: Limits) -> list[Fact]:
    return [
        Fact(_("Memory"), _quantity(limits.memory)),
        Fact(_("CPU"), _cores(limits.cpu)),
        Fact(_("Storage"), _quantity(limits.storage)),
        Fact(
            _("Stops when idle"),
            _("After {time}").format(time=_duration(limits.idle_s)) if limits.idle_s else _("Never"),
        ),
    ]


def _names(names: tuple[str, ...] | None, labels: dict[str, str]) -> str:
    if names is None:
        return _("All")
    return ", ".join(labels.get(name, name.replace("_", " ").capitalize()) for name in names) or _("None")


def _yes(included: bool) -> str:
    return _("Yes") if included else _("No")


def _count(value: int | None) -> str:
    return _("No limit") if value is None else whole(value)


def _quantity(value: str) -> str:
    """`512Mi` is 512 MiB."""
    return f"{whole(int(value[:-2]))} {value[-2:]}B"


def _cores(value: str) -> str:
    cores = int(value[:-1]) / 1000 if value.endswith("m") else int(value)
    return ngettext("{count} core", "{count} cores", 1 if cores == 1 else 2).format(count=number_format(f"{cores:g}"))


def _duration(seconds: int) -> str:
    """In the largest unit that leaves no rest."""
    unit, size = next((unit, size) for unit, size in _SECONDS_OF.items() if seconds % size == 0)
    return f"{whole(seconds // size)} {unit}"
