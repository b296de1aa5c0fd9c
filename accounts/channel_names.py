"""What channels are called for people. Who knows the channels, which is above, says so at the start."""

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.translation import gettext as _

WEB = "web"


@dataclass(slots=True)
class _Names:
    label: Callable[[str], str] = str.capitalize


_names = _Names()


def name_by(label: Callable[[str], str]) -> None:
    """Have all channels named by this from now on."""
    _names.label = label


def channel_label(channel: str) -> str:
    """The channel's name for people."""
    return _names.label(channel)


def place_of(channel: str) -> str:
    """Where something was done or is told, as the end of a sentence."""
    return _("on the web page") if channel == WEB else _("in {channel}").format(channel=channel_label(channel))
