"""Which doors a licence opens. Pure: ask where the door is, whatever name led there."""

from typing import Literal

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.channel_names import channel_label
from accounts.errors import NotIncluded
from accounts.licences import Licence

Switch = Literal["deploy", "schedules"]

_SWITCHES: dict[Switch, str] = {"deploy": "deploying strategies", "schedules": "schedules"}


def require_channel(licence: Licence, channel: str, *, label: str = "") -> None:
    """Raise NotIncluded unless the licence opens the channel; `label` is its name for people."""
    _require(licence, licence.features.channels, channel, thing=f"{label or channel_label(channel)} as a channel")


def require_workflow(licence: Licence, workflow: str) -> None:
    """Raise NotIncluded unless the licence opens the workflow."""
    _require(licence, licence.features.workflows, workflow, thing=f"the workflow {workflow}")


def require_feature(licence: Licence, switch: Switch) -> None:
    """Raise NotIncluded unless the licence has the feature."""
    if not getattr(licence.features, switch):
        raise _not_included(licence, _SWITCHES[switch])


def require_turns(licence: Licence) -> None:
    """Raise NotIncluded when no turn may ever run."""
    if licence.limits.turns_at_once == 0:
        raise _not_included(licence, gettext_noop("answers by the agent"))


def _require(licence: Licence, opened: tuple[str, ...] | None, name: str, *, thing: str) -> None:
    if opened is not None and name not in opened:
        raise _not_included(licence, thing)


def _not_included(licence: Licence, thing: str) -> NotIncluded:
    words = _("Your {tier} licence does not include {thing}. Your administrator can change that.")
    return NotIncluded(words.format(tier=licence.tier.capitalize(), thing=_(thing)))
