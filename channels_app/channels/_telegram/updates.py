"""What Telegram posts to a webhook. Source: Bot API, "Update" and "Message"."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from channels_app.channels import Halt, Ignored, Inbound, Moved, Press, Update
from channels_app.channels._parsing import Strict, parsed
from channels_app.channels._telegram import groups
from channels_app.channels._telegram.attached import KINDS, files_of, kind_of
from channels_app.channels._telegram.groups import Entity, Id
from channels_app.names import shown_name
from gateway.languages import supported


@dataclass(frozen=True, slots=True)
class Self:
    """The bot: its id, and its name without @ (lower case), which may not be known."""

    id: str
    username: str


class _Account(Strict):
    id: Id
    is_bot: bool = False
    first_name: str = ""
    last_name: str = ""
    username: str = ""
    language_code: str = ""

    @property
    def name(self) -> str:
        """As Telegram shows it, for people: `Ada Lovelace (@ada)`."""
        full = shown_name(f"{self.first_name} {self.last_name}")
        handle = f"@{shown_name(self.username)}" if self.username else ""
        return f"{full} ({handle})" if full and handle else full or handle


class _Chat(Strict):
    id: Id
    type: str


class _Replied(Strict):
    message_id: Id | None = None
    sender: _Account | None = Field(default=None, alias="from")


class _Message(Strict):
    message_id: Id
    chat: _Chat
    sender: _Account | None = Field(default=None, alias="from")
    # Somebody who speaks for a group or a channel.
    sender_chat: _Chat | None = None
    text: str | None = None
    caption: str | None = None
    entities: list[Entity] = []
    caption_entities: list[Entity] = []
    reply_to_message: _Replied | None = None
    message_thread_id: Id | None = None
    is_topic_message: bool = False
    media_group_id: Annotated[str, Field(max_length=64)] = ""
    migrate_to_chat_id: Id | None = None


class _ButtonMessage(Strict):
    chat: _Chat


class _CallbackQuery(Strict):
    id: Annotated[str, Field(min_length=1, max_length=64)]
    sender: _Account = Field(alias="from")
    message: _ButtonMessage | None = None
    # Source: Bot API, InlineKeyboardButton: callback_data has 1-64 bytes.
    data: Annotated[str, Field(max_length=64)] = ""


class _Stopped(Strict):
    """Source: Bot API, MessageGenerationStopped."""

    chat: _Chat
    draft_id: Id


class _Update(Strict):
    update_id: Annotated[int, Field(ge=0, le=2**53)]
    message: _Message | None = None
    callback_query: _CallbackQuery | None = None
    stopped_message_generation: _Stopped | None = None


def parse_update(value: Any, *, me: Self) -> Update:
    """A person's message to the bot, a button that was pressed in a private chat, or what was ignored. Raises BadUpdate."""
    update = parsed(_Update, value, of="update of the Bot API")
    message = update.message
    if message is None:
        return _no_message(update, kind=_kind(value))
    refused = _none_of_ours(message, value["message"])
    if refused is not None or message.sender is None:
        return refused or Ignored("channel")
    found = _written(message, message.sender, raw=value["message"], external_id=f"{me.id}:{update.update_id}")
    return found if message.chat.type == "private" else _in_group(found, message, me)


def _no_message(update: _Update, *, kind: str) -> Update:
    stopped = update.stopped_message_generation
    if update.callback_query is not None:
        return _press(update.callback_query)
    if stopped is not None and stopped.chat.type == "private":
        # A private chat has its account's id.
        return Halt(sender=str(stopped.chat.id), draft=stopped.draft_id)
    return Ignored(kind)


def _none_of_ours(message: _Message, raw: dict[str, Any]) -> Moved | Ignored | None:
    """What a message is that nobody wrote to the bot."""
    if message.migrate_to_chat_id is not None:
        return Moved(old=f"{message.chat.id}:", new=f"{message.migrate_to_chat_id}:")
    if message.sender is None or message.sender_chat is not None or message.chat.type not in groups.TYPES | {"private"}:
        return Ignored("channel")
    if message.sender.is_bot:
        return Ignored("bot")
    return Ignored("service_message") if message.text is None and not kind_of(raw) else None


def _written(message: _Message, sender: _Account, *, raw: dict[str, Any], external_id: str) -> Inbound:
    kind = kind_of(raw) if message.text is None else ""
    files = files_of(raw) if kind else ()
    replied = message.reply_to_message if message.chat.type == "private" else None
    return Inbound(
        external_id=external_id,
        sender=str(sender.id),
        content=message.text if not kind else (message.caption or None) if files else None,
        files=files,
        kind=KINDS.get(kind, ""),
        album=f"{message.chat.id}:{message.media_group_id}" if files and message.media_group_id else "",
        target={"chat": message.chat.id, "message": message.message_id},
        name=sender.name,
        language=supported(sender.language_code) or "",
        quotes=(str(replied.message_id),) if replied and replied.message_id is not None else (),
    )


def _in_group(found: Inbound, message: _Message, me: Self) -> Inbound | Ignored:
    replied = message.reply_to_message
    said = groups.Said(
        text=message.text or message.caption or "",
        entities=message.entities or message.caption_entities,
        replies_to_bot=bool(replied and replied.sender and str(replied.sender.id) == me.id),
    )
    words = groups.addressed(said, bot_id=me.id, username=me.username)
    topic = message.message_thread_id if message.is_topic_message else None
    if words is not None:
        return groups.in_group(found, words, topic=topic)
    # The caption that names the bot is another piece's, perhaps.
    return groups.loose_in_group(found, topic=topic) if found.album else Ignored("group")


def _press(query: _CallbackQuery) -> Press | Ignored:
    if query.sender.is_bot:
        return Ignored("bot")
    if query.message is None or query.message.chat.type != "private" or not query.data:
        return Ignored("callback_query")
    return Press(sender=str(query.sender.id), token=query.data, query=query.id)


def _kind(value: dict[str, Any]) -> str:
    """The one other field of an update names its kind; only a short name gets into the logs."""
    return next((key[:40] for key in value if key != "update_id"), "empty")
