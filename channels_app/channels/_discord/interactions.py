"""What Discord posts, and what the bot hears by its Gateway. Source: discord.com/developers, "Interactions", "Message"."""

import time
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from channels_app.channels import File, Ignored, Inbound, Press, Target, Update
from channels_app.channels._parsing import Strict, parsed
from channels_app.names import shown_name
from gateway.languages import supported

Snowflake = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,20}$")]
PING, COMMAND, COMPONENT = 1, 2, 3
# The type of an option that is a file.
ATTACHMENT = 11
PONG, MESSAGE, DEFERRED, DEFERRED_UPDATE = 1, 4, 5, 6
# Source: "Message Types": an ordinary one, and a reply.
REPLY = 19
WRITTEN = frozenset({0, REPLY})
# A receipt's place of a message that belongs to an interaction.
OF_INTERACTION = "@"
# Source: "Snowflakes": the milliseconds since 2015 stand above the lower 22 bits.
EPOCH_MS = 1_420_070_400_000
# Source: "Interactions": "Interaction tokens are valid for 15 minutes"; our clocks differ.
TOKEN_LIFE_S = 14 * 60
# Discord knows of our answer once it has read it.
SETTLING_S = 10.0


class _User(Strict):
    id: Snowflake
    username: str = ""
    global_name: str | None = None
    bot: bool = False

    @property
    def name(self) -> str:
        """As Discord shows it, for people: `Ada (@ada)`."""
        full, handle = shown_name(self.global_name or ""), shown_name(self.username)
        return f"{full} (@{handle})" if full and handle else full or f"@{handle}"


class _Member(Strict):
    user: _User


class _Option(Strict):
    name: str = ""
    type: int = 3
    value: str | int | float | bool | None = None


class _Attachment(Strict):
    filename: str = ""
    url: str = ""
    content_type: str | None = None


class _Resolved(Strict):
    attachments: Annotated[dict[str, _Attachment], Field(max_length=25)] = {}


class _Data(Strict):
    name: str = ""
    resolved: _Resolved | None = None
    options: Annotated[list[_Option], Field(max_length=25)] = []
    custom_id: Annotated[str, StringConstraints(max_length=100)] = ""


class _Interaction(Strict):
    id: Snowflake
    type: int
    application_id: Snowflake = "0"
    token: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,400}$")] = ""
    channel_id: Snowflake | None = None
    guild_id: Snowflake | None = None
    user: _User | None = None
    member: _Member | None = None
    # Source: "Interaction Object": the selected language of the invoking user.
    locale: str = ""
    data: _Data | None = None


class _Said(Strict):
    content: str = ""
    attachments: Annotated[list[_Attachment], Field(max_length=50)] = []


class _Snapshot(Strict):
    message: _Said


class _Reference(Strict):
    """Source: "Message Reference Structure"."""

    message_id: Snowflake | None = None


class _Message(_Said):
    """With what it forwards. Source: "Message Snapshot Object"."""

    id: Snowflake
    type: int = 0
    channel_id: Snowflake
    guild_id: Snowflake | None = None
    author: _User
    message_reference: _Reference | None = None
    message_snapshots: Annotated[list[_Snapshot], Field(max_length=10)] = []
    sticker_items: list[dict[str, Any]] = []
    poll: dict[str, Any] | None = None

    @property
    def quotes(self) -> tuple[str, ...]:
        """What it replies to, as a receipt; ours may have been an interaction's."""
        replied = self.message_reference.message_id if self.type == REPLY and self.message_reference else None
        return (f"{self.channel_id}/{replied}", f"{OF_INTERACTION}/{replied}") if replied else ()

    @property
    def kind(self) -> str:
        """What it is besides text and files, in words."""
        return "stickers" if self.sticker_items else "polls" if self.poll is not None else ""


def parse_update(value: Any) -> Update:
    """A command, a pressed button, a ping, or what was ignored. Raises BadUpdate."""
    found = parsed(_Interaction, value, of="interaction of Discord's")
    if found.type == PING:
        return Ignored("ping", {"type": PONG})
    user = found.member.user if found.member else found.user
    if user is None or found.data is None or user.bot or not found.token:
        return Ignored("interaction")
    if found.type == COMPONENT and found.data.custom_id:
        return Press(sender=user.id, token=found.data.custom_id, query=found.token)
    if found.type != COMMAND or not found.data.name:
        return Ignored("interaction")
    target = {
        "user": user.id,
        "channel": found.channel_id or "",
        "interaction": found.id,
        "token": found.token,
        "guild": found.guild_id is not None,
    }
    files = _files(found.data.resolved.attachments.values() if found.data.resolved else ())
    return Inbound(
        external_id=f"{found.application_id}:{found.id}",
        sender=user.id,
        content=_words(found.data) or (None if files else "/help"),
        target=target,
        name=user.name,
        files=files,
        language=supported(found.locale) or "",
    )


def parse_message(value: Any, *, bot_id: str) -> Inbound | Ignored:
    """A direct message that the Gateway tells of, or what was ignored. Raises BadUpdate."""
    message = parsed(_Message, value, of="message of Discord's")
    if message.author.bot or message.author.id == bot_id:
        return Ignored("bot")
    if message.guild_id is not None:
        return Ignored("group")
    if message.type not in WRITTEN:
        return Ignored("service_message")
    parts: list[_Said] = [message, *(each.message for each in message.message_snapshots)]
    return Inbound(
        external_id=f"{bot_id}:{message.id}",
        sender=message.author.id,
        content="\n\n".join(each.content for each in parts if each.content) or None,
        kind=message.kind,
        target={"user": message.author.id, "channel": message.channel_id, "message": message.id},
        name=message.author.name,
        quotes=message.quotes,
        files=_files(file for each in parts for file in each.attachments),
    )


def age_s(target: Target) -> float | None:
    """How old the interaction behind a target is, in seconds; None when there is none."""
    if "interaction" not in target:
        return None
    return time.time() - ((int(target["interaction"]) >> 22) + EPOCH_MS) / 1000


def _files(attachments: Iterable[_Attachment]) -> tuple[File, ...]:
    return tuple(
        File(shown_name(each.filename) or "file", each.url, spoken=(each.content_type or "").startswith("audio/"))
        for each in attachments
    )


def _words(data: _Data) -> str:
    """`/ask` is what was asked; any other command is typed as it would be elsewhere."""
    words = [str(each.value) for each in data.options if each.value is not None and each.type != ATTACHMENT]
    given = " ".join(words).strip()
    return given if data.name == "ask" else f"/{data.name} {given}".strip()
