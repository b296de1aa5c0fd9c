"""Groups: whom a message speaks to, and where it is answered. Source: Bot API, "MessageEntity", "Message"."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field

from agents import commands
from channels_app.channels import Inbound
from channels_app.channels._parsing import Strict

# Telegram's ids have at most 52 significant bits.
Id = Annotated[int, Field(ge=-(2**53), le=2**53)]
TYPES = frozenset({"group", "supergroup"})
# Commands whose answers are fit for all to read; any other is answered in private.
OPEN = frozenset({"start", "help", "new", "stop", "analyse", "analyze"})


class _User(Strict):
    id: Id


class Entity(Strict):
    """A part of a text; offset and length count UTF-16 units."""

    type: str
    offset: Annotated[int, Field(ge=0, le=2**16)]
    length: Annotated[int, Field(ge=0, le=2**16)]
    user: _User | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """A message of a group."""

    text: str
    entities: Sequence[Entity]
    replies_to_bot: bool


def addressed(said: Said, *, bot_id: str, username: str) -> str | None:
    """What is said to the bot, without its name; None when it is not spoken to.

    It is by its name (`@bot`), by a command that names it (`/new@bot`), and by a reply to a message of its own.
    """
    at = f"@{username}"
    for entity in said.entities:
        part = _part(said.text, entity)
        if entity.type == "bot_command" and entity.offset == 0 and "@" in part:
            return said.text if username and part.lower().endswith(at) else None
        named = entity.type == "mention" and username and part.lower() == at
        if named or (entity.type == "text_mention" and entity.user and str(entity.user.id) == bot_id):
            return _without(said.text, entity)
    return said.text.strip() if said.replies_to_bot else None


def in_group(found: Inbound, words: str, *, topic: int | None) -> Inbound:
    """The message as one of a group: its own conversation with its sender, in each topic.

    A command that is not for all to read is answered in private, and the group is told so.
    """
    content = words.strip() if words.strip() or found.files or found.kind else "/help"
    found = replace(_here(found, topic=topic), content=content or None)
    if found.kind and not found.files:
        return replace(found, content=None)
    # By the engine's own reading of it, so that nothing is a command there and none here.
    if commands.parse(content) is None or _command(content) in OPEN:
        return found
    return replace(found, target={"chat": int(found.sender)}, aside=found.target)


def loose_in_group(found: Inbound, *, topic: int | None) -> Inbound:
    """A piece of an album that names nobody; its words are no command."""
    return replace(_here(found, topic=topic), loose=True)


def _here(found: Inbound, *, topic: int | None) -> Inbound:
    """Answered in the group, to its sender."""
    target = found.target | {"user": int(found.sender)} | ({"topic": topic} if topic is not None else {})
    return replace(found, target=target, thread=f"{found.target['chat']}:{topic or 0}")


def _command(text: str) -> str:
    return text[1:].split(maxsplit=1)[0].partition("@")[0].lower() if text[1:].strip() else ""


def _part(text: str, entity: Entity) -> str:
    units = text.encode("utf-16-le", "surrogatepass")
    return units[2 * entity.offset : 2 * (entity.offset + entity.length)].decode("utf-16-le", "replace")


def _without(text: str, entity: Entity) -> str:
    units = text.encode("utf-16-le", "surrogatepass")
    before, after = units[: 2 * entity.offset], units[2 * (entity.offset + entity.length) :]
    left = f"{before.decode('utf-16-le', 'replace').rstrip()} {after.decode('utf-16-le', 'replace').lstrip()}"
    return left.strip(" \n\t,:")
