"""What Telegram posts to a webhook. Source: Bot API, "Update" and "Message"."""

from typing import Annotated, Any

from pydantic import Field, ValidationError

from channels_app.channels import Ignored, Inbound, Press
from channels_app.channels._parsing import Strict, bad_update
from channels_app.channels._telegram.attached import KINDS, files_of, kind_of
from channels_app.names import shown_name

# Telegram's ids have at most 52 significant bits.
Id = Annotated[int, Field(ge=-(2**53), le=2**53)]


class _Account(Strict):
    id: Id
    is_bot: bool = False
    first_name: str = ""
    last_name: str = ""
    username: str = ""

    @property
    def name(self) -> str:
        """As Telegram shows it, for people: `Ada Lovelace (@ada)`."""
        full = shown_name(f"{self.first_name} {self.last_name}")
        handle = f"@{shown_name(self.username)}" if self.username else ""
        return f"{full} ({handle})" if full and handle else full or handle


class _Chat(Strict):
    id: Id
    type: str


class _Message(Strict):
    message_id: Id
    chat: _Chat
    sender: _Account | None = Field(default=None, alias="from")
    text: str | None = None
    caption: str | None = None
    media_group_id: Annotated[str, Field(max_length=64)] = ""


class _ButtonMessage(Strict):
    chat: _Chat


class _CallbackQuery(Strict):
    id: Annotated[str, Field(min_length=1, max_length=64)]
    sender: _Account = Field(alias="from")
    message: _ButtonMessage | None = None
    # Source: Bot API, InlineKeyboardButton: callback_data has 1-64 bytes.
    data: Annotated[str, Field(max_length=64)] = ""


class _Update(Strict):
    update_id: Annotated[int, Field(ge=0, le=2**53)]
    message: _Message | None = None
    callback_query: _CallbackQuery | None = None


def parse_update(value: Any, *, bot_id: str) -> Inbound | Press | Ignored:
    """A private message of a person, a button that was pressed under one of ours, or what was ignored. Raises BadUpdate."""
    try:
        update = _Update.model_validate(value)
    except ValidationError as error:
        raise bad_update(error, of="update of the Bot API") from error
    message = update.message
    if update.callback_query is not None:
        return _press(update.callback_query)
    if message is None:
        return Ignored(_kind(value))
    if message.sender is None or message.chat.type != "private":
        return Ignored("group")
    if message.sender.is_bot:
        return Ignored("bot")
    kind = kind_of(value["message"]) if message.text is None else ""
    if message.text is None and not kind:
        return Ignored("service_message")
    files = files_of(value["message"]) if kind else ()
    return Inbound(
        external_id=f"{bot_id}:{update.update_id}",
        sender=str(message.sender.id),
        content=message.text if not kind else (message.caption or None) if files else None,
        files=files,
        kind=KINDS.get(kind, ""),
        album=f"{message.chat.id}:{message.media_group_id}" if files and message.media_group_id else "",
        target={"chat": message.chat.id, "message": message.message_id},
        name=message.sender.name,
    )


def _press(query: _CallbackQuery) -> Press | Ignored:
    if query.sender.is_bot:
        return Ignored("bot")
    if query.message is None or query.message.chat.type != "private" or not query.data:
        return Ignored("callback_query")
    return Press(sender=str(query.sender.id), token=query.data, query=query.id)


def _kind(value: dict[str, Any]) -> str:
    """The one other field of an update names its kind; only a short name gets into the logs."""
    return next((key[:40] for key in value if key != "update_id"), "empty")
