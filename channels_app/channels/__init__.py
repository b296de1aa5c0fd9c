"""Chat platforms: one file each, exposing `CHANNEL`. The folder is the list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, runtime_checkable

from django.core.exceptions import ImproperlyConfigured

from channels_app.errors import DeliveryError
from gateway.plugins import load_folder

# A platform's own address of a chat and of the message that is answered, as JSON.
Target = dict[str, Any]
# What people may send where files are fetched, for `Channel.reads`.
PICTURES_AND_DOCUMENTS = "text, pictures (PNG, JPEG, WebP), PDF and text files"
# One message in the platform's own form, as JSON: what `compose` made and `send` understands. With `below` (true) it follows
# something that was asked in between, and is no first answer any more; with `crowded` (true) it is not plain which message it
# answers; with `picture` (an address of ours) it is a picture; by its `key` it is told from others (Channel.repeats_s).
Part = dict[str, Any]


@dataclass(frozen=True, slots=True)
class File:
    """A file that somebody sent: its name, and where the platform has it, in the platform's own words.

    A `spoken` one is to be heard. `order` is its place among those that are sent together.
    """

    name: str
    place: str
    spoken: bool = False
    order: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """What somebody wrote in a chat; `content` None is something other than text, which `files` may hold.

    `kind` names in words (plural) what can't be read of it. Messages of one `album` are one, sent in pieces. What is answered in
    private was asked `aside`, where others read along. A piece that nobody said to the bot is `loose`: it counts if another does.

    `sender` is the account, as in a channel link, and `name` how the platform shows it to people (see names.py).
    `external_id` is the same however often the platform sends the message, prefixed by bot or team. `address` is the
    sender's network address, where the platform tells it. A `thread` of the platform's (its key there) is a conversation of
    its own; "" is the user's main one. With `opened` nothing was written yet: somebody opened the chat, which has that name
    among their own. `quotes` is the message of a private chat that this one replies to, as `send` may have named it. `language`
    is the one of ours that the platform tells of its sender.
    """

    external_id: str
    sender: str
    content: str | None
    target: Target
    name: str = ""
    address: str = ""
    thread: str = ""
    files: tuple[File, ...] = ()
    kind: str = ""
    album: str = ""
    aside: Target | None = None
    loose: bool = False
    opened: str = ""
    quotes: tuple[str, ...] = ()
    language: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """Somebody pressed a button under a message of ours. `token` is the button's, `query` what the platform wants answered.

    `sender` is the account, as in a channel link.
    """

    sender: str
    token: str
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Somebody stopped an answer that is shown as a draft; `draft` is its number."""

    sender: str
    draft: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A chat goes on under another id: keys of its threads that began with `old` begin with `new`."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Button:
    """A button under a message: its words, and the token that a Press brings back (at most 64 bytes)."""

    label: str
    token: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """A request that is none of our business; `kind` says in a word what it was, `reply` what the platform is answered."""

    kind: str
    reply: dict[str, Any] | None = None


Update = Inbound | Press | Halt | Moved | Ignored


@runtime_checkable
class Channel(Protocol):
    """A platform. `name` is its path, its links' `channel_type` and its turns' `channel`.

    Settings are read when used. A channel without settings is off. What has a body here is right for most platforms; a
    channel is a subclass, and writes the rest.
    """

    name: str
    # Whether it may write to people who never wrote to it.
    writes_first: bool = True
    # How long a draft is shown, in seconds; 0 = there are none.
    draft_s: float = 0.0
    # What people may send there, in words.
    reads: str = "text messages only"
    # Whether a voice of theirs is fetched there, for a model that hears.
    hears: bool = False
    # Whether it posts forms beside JSON; `parse` is given a form's fields as one flat object.
    forms: bool = False
    # Whether all that people write in private arrives, also without a command, and whether it says what that replies to.
    hears_all: bool = True
    tells_replies: bool = False

    @property
    def label(self) -> str:
        """Its name for people."""

    def faults(self) -> list[str]:
        """What is wrong or half done in its settings; the gateway does not start with any."""

    def is_on(self) -> bool:
        """Whether its settings are there and whole."""

    def admits(self, headers: Mapping[str, str]) -> bool:
        """Whether a request's body may be read, by its headers (names in lower case); in constant time for secrets."""

    def signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether the body is the platform's own; for platforms that sign."""

    def parse(self, update: Any) -> Update:
        """What a request's JSON says. Raises BadUpdate."""

    def reply(self, found: Inbound | Press, outcome: str) -> dict[str, Any] | None:  # noqa: ARG002 - an empty answer
        """What the request is answered with once it is stored, as JSON; None for an empty answer.

        `outcome` is the word of inbound.receive or presses.receive for what became of it.
        """
        return None

    def answered(self, target: Target) -> Target:
        """Where the rest is said once something has been said in answer to a message, but not yet its answer."""
        return target

    def unasked(self, target: Target) -> Target:
        """Where the same chat is told what comes by itself: in the same thread, in answer to nothing."""
        return target

    def chat_of(self, target: Target) -> str:
        """Which messages must leave one after another, and share a pause."""

    def account_of(self, target: Target) -> str:
        """Whom a message there is for, as in a channel link."""

    def target_of(self, account: str) -> Target:
        """The chat with an account to which nobody has written just now."""

    def private(self, target: Target) -> Target:
        """Where its account alone reads what is said; the same target where others never read along."""
        return target

    def waits_for_word(self, target: Target) -> bool:  # noqa: ARG002 - on most platforms nothing shows there
        """Whether each message there must be told what becomes of it, since its platform shows that it is worked on."""
        return False

    def is_account(self, account: str) -> bool:
        """Whether a text has the form of an account's id, as in a channel link."""

    def deep_link(self, token: str) -> str | None:  # noqa: ARG002 - there is none
        """An address that opens the chat and lets the user send `/start <token>` with one touch; None where there is none."""
        return None

    def typed(self, command: str) -> str:
        """How a command such as `/link CODE` is typed there. `compose` writes those in a text alike."""
        return command

    def bulk_every_s(self) -> float | None:
        """How far apart messages leave at least, whatever their chats, in seconds; None = only each chat has a pace."""
        return None

    def pace_s(self, target: Target) -> float:  # noqa: ARG002 - what most platforms bear, in whatever chat
        """How long a chat rests between two messages, in seconds."""
        return 1.0

    def repeats_s(self, target: Target) -> float:  # noqa: ARG002 - most platforms can't tell
        """For how long the platform takes a message with the same `key` once, in seconds, by whatever it was sent before; the
        same for all of a target's life. 0 = one that may have been shown is not sent again."""
        return 0.0

    def preview_every_s(self, target: Target) -> float | None:  # noqa: ARG002 - nowhere
        """How often an answer may be shown while it is written, by editing its first message; None = only once it is whole."""
        return None

    def typing_every_s(self, target: Target) -> float | None:  # noqa: ARG002 - nowhere
        """How often to show that an answer is worked on, as long as there is no word of it; None = not at all."""
        return None

    async def typing(self, target: Target, *, about: str) -> None:  # noqa: ARG002 - see typing_every_s
        """Show that, and what the conversation is about where the platform has a place for it. Raises DeliveryError."""
        return

    async def draft(self, part: Part | None, target: Target, *, number: int) -> None:  # noqa: ARG002 - see draft_s
        """Show what there is of an answer (None = nothing yet) in passing, in place of the draft of that number, with a button
        that comes back as a Halt. Only where nobody reads along. Raises DeliveryError."""
        return

    def compose(self, markdown: str) -> list[Part]:
        """A text as messages, in order; none for a blank one."""

    def preview(self, markdown: str) -> Part | None:
        """The beginning of a text that is still being written, as one message; None while there is nothing to show."""
        parts = self.compose(markdown)
        return parts[0] if parts else None

    def ask(self, markdown: str, buttons: Sequence[Button]) -> list[Part]:
        """The same with buttons under the last message. Where there are none, the text alone: it says what to type."""

    def greet(self, markdown: str, prompts: Sequence[tuple[str, str]]) -> list[Part]:  # noqa: ARG002 - none are shown
        """The same with what may be asked first: titles, and what each stands for. Without where that can't be shown."""
        return self.compose(markdown)

    def picture(self, url: str, alt: str) -> Part | None:  # noqa: ARG002 - none are shown
        """A picture of an answer as a message, with its `url` under `picture`; None where none are shown."""
        return None

    async def send(self, part: Part, target: Target) -> str:
        """Show one message, and return the platform's own id of it. Raises DeliveryError."""

    async def send_picture(self, part: Part, target: Target, *, content: bytes) -> str:  # noqa: ARG002 - see picture
        """Show a picture that `picture` made a message of; as `send` else."""
        raise DeliveryError("no_pictures", permanent=True)

    async def edit(self, part: Part, target: Target, *, message: str) -> str:
        """Show a message in place of an earlier one, whose buttons go; as `send` else.

        Raises NotEditable when that can't be, or can't be any more, and DeliveryError.
        """

    async def fetch(self, file: File, *, most_bytes: int) -> bytes:  # noqa: ARG002 - whatever it is
        """A file that somebody sent. Raises DeliveryError, and of it TooLarge."""
        raise DeliveryError("no_files", permanent=True)

    async def acknowledge(self, press: Press, text: str) -> None:  # noqa: ARG002 - the message itself tells of it
        """Tell whoever pressed a button what came of it, in a short text that passes. Raises DeliveryError."""
        return

    async def close(self) -> None:
        """Close the running loop's connections to the platform."""
        return


@cache
def channels() -> dict[str, Channel]:
    """All channels by name. Raises what a broken module of the folder raises."""
    return load_folder("channels_app.channels", constant="CHANNEL", kind=Channel)  # type: ignore[type-abstract]


def channel_that_is_on(name: str) -> Channel | None:
    """The channel of that name, None when there is none or it is off."""
    channel = channels().get(name)
    return channel if channel is not None and channel.is_on() else None


def label_of(name: str) -> str:
    """A channel's name for people, also of one that there is no more."""
    channel = channels().get(name)
    return channel.label if channel is not None else name.capitalize()


def faults() -> list[str]:
    """What is wrong with the settings of any channel."""
    return [fault for channel in channels().values() for fault in channel.faults()]


def refuse_faults() -> None:
    """Raise ImproperlyConfigured for the first fault, so that a server never starts half configured."""
    for fault in faults():
        raise ImproperlyConfigured(fault)
