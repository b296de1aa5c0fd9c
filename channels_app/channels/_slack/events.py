"""What Slack posts: events, pressed buttons, the slash command. Source: docs.slack.dev, Events API, interactivity, commands."""

import re
from html import unescape
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError

from agents.commands import COMMANDS
from channels_app import strict_json
from channels_app.channels import File, Ignored, Inbound, Press, Target, Update
from channels_app.channels._parsing import Strict, bad_update
from channels_app.errors import BadUpdate
from channels_app.names import shown_name

Id = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,30}$")]
Ts = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,15}\.[0-9]{1,9}$")]
# Of other events no more than the name is read: the `user` of some is an object. Source: docs.slack.dev, "Events".
HEARD = frozenset({"message", "app_mention"})
# A message that somebody wrote, also one with files and one that a thread shows in its channel.
WRITTEN = frozenset({"", "file_share", "thread_broadcast"})
_MENTION = re.compile(r"<@([A-Z0-9]{1,30})(?:\|[^>]*)?>")
_CHANNEL = re.compile(r"<#[A-Z0-9]{1,30}\|([^>]*)>")
_LINK = re.compile(r"<((?:https?://|mailto:)[^|>]*)(?:\|([^>]*))?>")


class _File(Strict):
    """Source: docs.slack.dev, "File object": the name of some is null, and one that was deleted has no address."""

    name: str | None = None
    url_private: str | None = None
    mimetype: str | None = None


class _Event(Strict):
    type: str
    subtype: str = ""
    user: Id | None = None
    bot_id: str | None = None
    channel: Id | None = None
    channel_type: str = ""
    text: str | None = None
    ts: Ts | None = None
    thread_ts: Ts | None = None
    files: Annotated[list[_File], Field(max_length=50)] = []


class _Authorization(Strict):
    user_id: Id | None = None
    is_bot: bool = False


class _Callback(Strict):
    type: Literal["event_callback"]
    team_id: Id
    event_id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    event: _Event
    authorizations: list[_Authorization] = []


class _Verification(Strict):
    type: Literal["url_verification"]
    challenge: Annotated[str, StringConstraints(max_length=1000)]


class _Command(Strict):
    """Every field of a form is text."""

    command: str
    text: str = ""
    team_id: Id
    user_id: Id
    user_name: str = ""
    channel_id: Id
    trigger_id: Annotated[str, StringConstraints(min_length=1, max_length=128)]


class _Named(Strict):
    id: Id


class _Message(Strict):
    thread_ts: Ts | None = None


class _Action(Strict):
    type: str
    value: Annotated[str, StringConstraints(max_length=64)] = ""


class _Pressed(Strict):
    type: Literal["block_actions"]
    user: _Named
    team: _Named
    channel: _Named | None = None
    message: _Message | None = None
    actions: Annotated[list[_Action], Field(min_length=1)]


def parse_update(value: Any) -> Update:
    """What somebody wrote to the bot or pressed, or what was ignored. Raises BadUpdate."""
    if not isinstance(value, dict):
        raise BadUpdate("This is nothing of Slack's: it is no object.")
    try:
        if "payload" in value:
            return _interaction(value["payload"])
        if "command" in value:
            return _command(_Command.model_validate(value))
        if value.get("type") == "url_verification":
            return Ignored("url_verification", {"challenge": _Verification.model_validate(value).challenge})
        if value.get("type") != "event_callback":
            return Ignored(_kind(value))
        if isinstance(value.get("event"), dict) and _kind(value["event"]) not in HEARD:
            return Ignored(_kind(value["event"]))
        return _event(_Callback.model_validate(value))
    except ValidationError as error:
        raise bad_update(error, of="request of Slack's") from error


def in_direct_messages(target: Target) -> bool:
    """Whether nobody else reads along; a user's own id stands for the chat with them."""
    return str(target["channel"])[:1] in {"D", "U", "W"}


def _event(callback: _Callback) -> Update:
    event = callback.event
    bots = {each.user_id for each in callback.authorizations if each.is_bot}
    if event.subtype not in WRITTEN:
        return Ignored(event.subtype[:40])
    if event.bot_id is not None or event.user is None or event.user in bots:
        return Ignored("bot")
    if event.channel is None or event.ts is None:
        raise BadUpdate("This is no message of Slack's: event.ts.")
    direct = event.channel.startswith("D")
    # Of a mention in a channel both kinds may come: each place has one of them.
    if direct != (event.type == "message"):
        return Ignored("message_elsewhere" if event.type == "message" else "mention_in_direct_messages")
    thread = event.thread_ts or ("" if direct else event.ts)
    content = _as_command(_words(event.text or "", bots=bots))
    target = {"team": callback.team_id, "user": event.user, "channel": event.channel, "thread": thread}
    return Inbound(
        external_id=f"{callback.team_id}:{callback.event_id}",
        sender=f"{callback.team_id}:{event.user}",
        content=content or None,
        target=_private(target) if content.startswith("/") else target,
        # A command that a whole channel has read; the slash command's words are unseen by others.
        aside=target if content.startswith("/") and not direct else None,
        thread=f"{event.channel}:{thread}" if thread else "",
        files=tuple(_file(file) for file in event.files),
        # The first message of a thread is what the others answer.
        quotes=(f"{event.channel}/{event.thread_ts}",) if direct and event.thread_ts else (),
    )


def _file(file: _File) -> File:
    spoken = (file.mimetype or "").startswith("audio/")
    return File(shown_name(file.name or "") or "file", file.url_private or "", spoken=spoken)


def _command(command: _Command) -> Inbound:
    """The words after the command are a command of ours, or a question; it is answered in direct messages."""
    words = command.text.strip()
    name, _, rest = words.partition(" ")
    known = name.lower().lstrip("/") in COMMANDS
    target = {"team": command.team_id, "user": command.user_id, "channel": command.channel_id, "thread": ""}
    if not in_direct_messages(target):
        target = _private(target) | {"asked_in": command.channel_id}
    return Inbound(
        external_id=f"{command.team_id}:{command.trigger_id}",
        sender=f"{command.team_id}:{command.user_id}",
        content=f"/{name.lower().lstrip('/')} {rest}".strip() if known else words or "/help",
        target=target,
        name=shown_name(command.user_name),
    )


def _interaction(payload: Any) -> Update:
    try:
        value = strict_json.loads(payload) if isinstance(payload, str) else payload
    except strict_json.BadJSON as error:
        raise BadUpdate(f"The payload is not usable: {error}") from error
    if not isinstance(value, dict):
        raise BadUpdate("The payload is no object.")
    if value.get("type") != "block_actions":
        return Ignored(_kind(value))
    pressed = _Pressed.model_validate(value)
    action = pressed.actions[0]
    if action.type != "button" or not action.value:
        return Ignored("action")
    channel = pressed.channel.id if pressed.channel else pressed.user.id
    thread = (pressed.message and pressed.message.thread_ts) or ""
    return Press(sender=f"{pressed.team.id}:{pressed.user.id}", token=action.value, query=f"{channel}:{thread}")


def _private(target: Target) -> Target:
    """A command's answer is its author's own affair."""
    return target if in_direct_messages(target) else target | {"channel": target["user"], "thread": ""}


def _as_command(text: str) -> str:
    """`!stop` is `/stop`: Slack's own client keeps what begins with a slash."""
    name = text[1:].split(maxsplit=1)[0].lower() if text.startswith("!") and text[1:2].isalpha() else ""
    return f"/{text[1:]}" if name in COMMANDS else text


def _words(text: str, *, bots: set[str | None]) -> str:
    """The text as its author saw it, without the bot's own name at the beginning."""
    first = _MENTION.match(text.lstrip())
    if first is not None and (not bots or first[1] in bots):
        text = text.lstrip()[first.end() :]
    text = _MENTION.sub(r"@\1", text)
    text = _CHANNEL.sub(r"#\1", text)
    text = _LINK.sub(
        lambda found: f"{found[2]} ({found[1]})" if found[2] and found[2] not in found[1] else found[1], text
    )
    return unescape(text).strip()


def _kind(value: dict[str, Any]) -> str:
    kind = value.get("type")
    if not isinstance(kind, str) or not kind:
        raise BadUpdate("This is nothing of Slack's: type.")
    return kind[:40]
