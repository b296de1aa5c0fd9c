"""Telegram: private chats and groups with a bot, through its webhook and the Bot API."""

import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, LinkPreviewOptions, Message, ReplyParameters
from telegram.constants import ChatAction, ParseMode

from channels_app.channels import PICTURES_AND_DOCUMENTS, Button, Channel, File, Part, Press, Target, Update
from channels_app.channels._telegram import api, attached, messages, photos
from channels_app.channels._telegram.updates import Self, parse_update
from channels_app.errors import NotEditable

SECRET_HEADER = "x-telegram-bot-api-secret-token"  # noqa: S105 - the header's name
# Source: Bot API, setWebhook: "1-256 characters. Only characters A-Z, a-z, 0-9, _ and - are allowed."
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")
_TOKEN = re.compile(r"\d+:[A-Za-z0-9_-]+")
# Source: Telegram's page on usernames: Latin letters, digits and underscores, 5 to 32 of them.
_USERNAME = re.compile(r"@?([A-Za-z][A-Za-z0-9_]{3,31})")
# Source: Bot API, "User": an id has at most 52 significant bits. Ids of people are positive.
_ACCOUNT = re.compile(r"[1-9][0-9]{0,15}")
# Source: Bot API FAQ: one message a second in a chat, 20 a minute in a group.
PRIVATE_PACE_S = 1.1
GROUP_PACE_S = 3.1
# Source: the same: "no more than about 30 messages per second".
BULK_EVERY_S = 0.04
# Source: Bot API, sendChatAction: "The status is set for 5 seconds or less".
TYPING_EVERY_S = 5.0
# More are too narrow for their words on a phone.
BUTTONS_IN_A_ROW = 2


class Telegram(Channel):
    """The channel; see Channel."""

    name = "telegram"
    label = "Telegram"
    reads = PICTURES_AND_DOCUMENTS
    hears = True
    # Source: Bot API, sendMessageDraft: "a temporary 30-second preview".
    draft_s = 30.0
    # Source: Bot API, "bot can't initiate conversation with a user".
    writes_first = False
    # There is no ForceReply under a question, whose outcome takes its place. Source: Bot API, "Updating messages": "it is
    # currently only possible to edit messages without reply_markup or with inline keyboards".
    tells_replies = True

    def faults(self) -> list[str]:
        """A token without its secret, the reverse, and values that can't be what they should be."""
        token, secret = settings.TELEGRAM_BOT_TOKEN, settings.TELEGRAM_WEBHOOK_SECRET
        found = []
        if bool(token) != bool(secret):
            found.append("TELEGRAM_BOT_TOKEN and TELEGRAM_WEBHOOK_SECRET must be set together.")
        if token and not _TOKEN.fullmatch(token):
            found.append("TELEGRAM_BOT_TOKEN is not a token of @BotFather (123456:ABC…).")
        if secret and not _SECRET.fullmatch(secret):
            found.append("TELEGRAM_WEBHOOK_SECRET must be 1 to 256 letters, digits, _ or -.")
        username = settings.TELEGRAM_BOT_USERNAME
        if username and not _USERNAME.fullmatch(username):
            found.append("TELEGRAM_BOT_USERNAME is not a bot's name, as in https://t.me/<name>.")
        return found

    def is_on(self) -> bool:
        """Token and secret are there."""
        return bool(settings.TELEGRAM_BOT_TOKEN and settings.TELEGRAM_WEBHOOK_SECRET and not self.faults())

    def admits(self, headers: Mapping[str, str]) -> bool:
        """The secret that was given to setWebhook stands in a header."""
        given = headers.get(SECRET_HEADER, "").encode("utf-8", "surrogateescape")
        return self.is_on() and hmac.compare_digest(given, settings.TELEGRAM_WEBHOOK_SECRET.encode())

    def signed(self, headers: Mapping[str, str], body: bytes) -> bool:  # noqa: ARG002 - Telegram signs nothing
        """The header says enough."""
        return self.admits(headers)

    def parse(self, update: Any) -> Update:
        """A message to the bot, or a button that was pressed; the bot's id is the first part of its token."""
        username = _USERNAME.fullmatch(settings.TELEGRAM_BOT_USERNAME)
        me = Self(settings.TELEGRAM_BOT_TOKEN.partition(":")[0], username[1].lower() if username else "")
        return parse_update(update, me=me)

    def unasked(self, target: Target) -> Target:
        """Without the message that would be quoted."""
        return {name: value for name, value in target.items() if name != "message"}

    def chat_of(self, target: Target) -> str:
        """The chat's id."""
        return str(target["chat"])

    def account_of(self, target: Target) -> str:
        """A private chat has its account's id, a target in a group names its sender."""
        return str(target.get("user", target["chat"]))

    def private(self, target: Target) -> Target:
        """In a group others read along."""
        return self.target_of(str(target["user"])) if "user" in target else target

    def target_of(self, account: str) -> Target:
        """A private chat has its account's id."""
        return {"chat": int(account)}

    def is_account(self, account: str) -> bool:
        """The number of a person."""
        return bool(_ACCOUNT.fullmatch(account)) and int(account) < 2**52

    def deep_link(self, token: str) -> str | None:
        """Source: https://core.telegram.org/bots/features#deep-linking; a start parameter has at most 64 characters."""
        username = _USERNAME.fullmatch(settings.TELEGRAM_BOT_USERNAME)
        return f"https://t.me/{username[1]}?start={token}" if username else None

    def bulk_every_s(self) -> float | None:
        """Below what Telegram bears in bulk."""
        return BULK_EVERY_S

    def pace_s(self, target: Target) -> float:
        """Ids of groups are negative."""
        return GROUP_PACE_S if str(target["chat"]).startswith("-") else PRIVATE_PACE_S

    def preview_every_s(self, target: Target) -> float | None:
        """An edit is a message, too."""
        return self.pace_s(target)

    def typing_every_s(self, target: Target) -> float | None:  # noqa: ARG002 - alike in every chat
        """As long as it lasts."""
        return TYPING_EVERY_S

    async def typing(self, target: Target, *, about: str) -> None:  # noqa: ARG002 - chats have no titles
        """sendChatAction."""
        topic = target.get("topic")
        await api.call(lambda bot: bot.send_chat_action(target["chat"], ChatAction.TYPING, message_thread_id=topic))

    async def draft(self, part: Part | None, target: Target, *, number: int) -> None:
        """sendMessageDraft, with a button to stop. Source of `can_stop`: Bot API 10.1, which the package does not know yet."""

        async def send_draft(bot: Bot) -> bool:
            return await bot.send_message_draft(
                target["chat"],
                number,
                # Source: "Pass an empty text to show a \"Thinking...\" placeholder".
                part["html"] if part else "",
                parse_mode=ParseMode.HTML,
                api_kwargs={"can_stop": True},
            )

        await api.call(send_draft)

    def compose(self, markdown: str) -> list[Part]:
        """HTML with its plain text beside it."""
        return messages.compose(markdown)

    def ask(self, markdown: str, buttons: Sequence[Button]) -> list[Part]:
        """The buttons stand under the last message."""
        parts = messages.compose(markdown)
        parts[-1]["buttons"] = [[button.label, button.token] for button in buttons]
        return parts

    def picture(self, url: str, alt: str) -> Part | None:
        """A photo with its words below."""
        return messages.picture(url, alt)

    async def send_picture(self, part: Part, target: Target, *, content: bytes) -> str:
        """sendPhoto; as a file where Telegram makes no photo of it."""
        try:
            return await photos.send(part, target, content=content)
        except api.ChatMoved as moved:
            return await photos.send(part, target | {"chat": moved.chat}, content=content)

    async def send(self, part: Part, target: Target) -> str:
        """sendMessage, in HTML; as plain text where Telegram can't read that."""
        try:
            return await _send_readable(target, part)
        except api.ChatMoved as moved:
            return await _send_readable(target | {"chat": moved.chat}, part)

    async def edit(self, part: Part, target: Target, *, message: str) -> str:
        """editMessageText, likewise."""
        try:
            return await _edit(target, part, message=message, html=True)
        except api.BadMarkup:
            return await _edit(target, part, message=message, html=False)
        except api.ChatMoved as moved:
            # Its messages have other numbers there.
            raise NotEditable(moved.cause) from moved

    async def fetch(self, file: File, *, most_bytes: int) -> bytes:
        """getFile, and the file from where that says it is."""
        return await attached.fetch(file.place, most_bytes=most_bytes)

    async def acknowledge(self, press: Press, text: str) -> None:
        """answerCallbackQuery: Telegram shows the text above the chat."""
        await api.call(lambda bot: bot.answer_callback_query(press.query, text=text[: messages.MAX_ACKNOWLEDGEMENT]))

    async def close(self) -> None:
        """Close the connections."""
        await api.close()
        await attached.HTTP.close()


async def _send_readable(target: Target, part: Part) -> str:
    try:
        return await _send(target, part, html=True)
    except api.BadMarkup:
        return await _send(target, part, html=False)


async def _send(target: Target, part: Part, *, html: bool) -> str:
    async def send_message(bot: Bot) -> Message:
        return await bot.send_message(
            target["chat"],
            part["html" if html else "text"],
            parse_mode=ParseMode.HTML if html else None,
            link_preview_options=LinkPreviewOptions(is_disabled=True),
            message_thread_id=target.get("topic"),
            reply_parameters=_quote(target, part),
            reply_markup=_keyboard(part),
        )

    return str((await api.call(send_message)).message_id)


async def _edit(target: Target, part: Part, *, message: str, html: bool) -> str:
    async def edit_message(bot: Bot) -> Message | bool:
        return await bot.edit_message_text(
            part["html" if html else "text"],
            chat_id=target["chat"],
            message_id=int(message),
            parse_mode=ParseMode.HTML if html else None,
            link_preview_options=LinkPreviewOptions(is_disabled=True),
            reply_markup=_keyboard(part),
        )

    try:
        await api.call(edit_message)
    except api.NotModified:
        # The edit before, whose answer was lost, has arrived.
        return message
    return message


def _keyboard(part: Part) -> InlineKeyboardMarkup | None:
    buttons = [InlineKeyboardButton(label, callback_data=token) for label, token in part.get("buttons", ())]
    rows = [buttons[at : at + BUTTONS_IN_A_ROW] for at in range(0, len(buttons), BUTTONS_IN_A_ROW)]
    return InlineKeyboardMarkup(rows) if rows else None


def _quote(target: Target, part: Part) -> ReplyParameters | None:
    """What is answered, where it is not plain: in a group, and when other messages came between."""
    plain = "user" not in target and not part.get("crowded")
    if "message" not in target or not part["quote"] or plain:
        return None
    return ReplyParameters(target["message"], allow_sending_without_reply=True)


CHANNEL = Telegram()
