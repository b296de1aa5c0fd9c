"""Chat platforms: one file each, exposing `CHANNEL`. The folder is the list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, runtime_checkable

from django.core.exceptions import ImproperlyConfigured

from gateway.plugins import load_folder

# A platform's own address of a chat and of the message that is answered, as JSON.
Target = dict[str, Any]
# One message in the platform's own form, as JSON: what `compose` made and `send` understands.
Part = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """What somebody wrote in a chat; `content` None is something other than text.

    `sender` is the account, as in a channel link, and `name` how the platform shows it to people (see names.py).
    `external_id` is the same however often the platform sends the message, prefixed by bot or team. `address` is the
    sender's network address, where the platform tells it.
    """

    external_id: str
    sender: str
    content: str | None
    target: Target
    name: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """Somebody pressed a button under a message of ours. `token` is the button's, `query` what the platform wants answered.

    `sender` is the account, as in a channel link.
    """

    sender: str
    token: str
    query: str


@dataclass(frozen=True, slots=True)
class Button:
    """A button under a message: its words, and the token that a Press brings back (at most 64 bytes)."""

    label: str
    token: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """A request that is none of our business; `kind` says in a word what it was."""

    kind: str


@runtime_checkable
class Channel(Protocol):
    """A platform. `name` is its path, its links' `channel_type` and its turns' `channel`; `label` its name for people.

    Settings are read when used. A channel without settings is off.
    """

    name: str
    label: str

    def faults(self) -> list[str]:
        """What is wrong or half done in its settings; the gateway does not start with any."""

    def is_on(self) -> bool:
        """Whether its settings are there and whole."""

    def admits(self, headers: Mapping[str, str]) -> bool:
        """Whether a request's body may be read, by its headers (names in lower case); in constant time for secrets."""

    def signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether the body is the platform's own; for platforms that sign."""

    def parse(self, update: Any) -> Inbound | Press | Ignored:
        """What a request's JSON says. Raises BadUpdate."""

    def chat_of(self, target: Target) -> str:
        """Which messages must leave one after another, and share a pause."""

    def account_of(self, target: Target) -> str:
        """Whom a message there is for, as in a channel link."""

    def target_of(self, account: str) -> Target:
        """The chat with an account to which nobody has written just now."""

    def is_account(self, account: str) -> bool:
        """Whether a text has the form of an account's id, as in a channel link."""

    def deep_link(self, token: str) -> str | None:
        """An address that opens the chat and lets the user send `/start <token>` with one touch; None where there is none."""

    def pace_s(self, target: Target) -> float:
        """How long a chat rests between two messages, in seconds."""

    def compose(self, markdown: str) -> list[Part]:
        """A text as messages, in order; none for a blank one."""

    def ask(self, markdown: str, buttons: Sequence[Button]) -> list[Part]:
        """The same with buttons under the last message. Where there are none, the text alone: it says what to type."""

    async def send(self, part: Part, target: Target) -> str:
        """Show one message, and return the platform's own id of it. Raises DeliveryError."""

    async def edit(self, part: Part, target: Target, *, message: str) -> str:
        """Show a message in place of an earlier one, whose buttons go; as a new one where that can't be. As `send` else."""

    async def acknowledge(self, press: Press, text: str) -> None:
        """Tell whoever pressed a button what came of it, in a short text that passes. Raises DeliveryError."""

    async def close(self) -> None:
        """Close the running loop's connections to the platform."""


@cache
def channels() -> dict[str, Channel]:
    """All channels by name. Raises what a broken module of the folder raises."""
    return load_folder("channels_app.channels", constant="CHANNEL", kind=Channel)  # type: ignore[type-abstract]


def channel_that_is_on(name: str) -> Channel | None:
    """The channel of that name, None when there is none or it is off."""
    channel = channels().get(name)
    return channel if channel is not None and channel.is_on() else None


def faults() -> list[str]:
    """What is wrong with the settings of any channel."""
    return [fault for channel in channels().values() for fault in channel.faults()]


def refuse_faults() -> None:
    """Raise ImproperlyConfigured for the first fault, so that a server never starts half configured."""
    for fault in faults():
        raise ImproperlyConfigured(fault)
