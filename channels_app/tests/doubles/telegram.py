"""Telegram for the contract test. Its server is chats/bot_api.py."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from channels_app.channels.telegram import CHANNEL, SECRET_HEADER
from channels_app.richtext import visible_text
from channels_app.tests.chats.bot_api import BLOCKED, TOKEN, BotApi, Reply, bot_api_server, flood, refusal
from channels_app.tests.doubles.driver import Driver, Post

SECRET = "a-secret_Of-the-webhook"
FIRST_MESSAGE = 1001


class TelegramDriver(Driver):
    channel = CHANNEL
    account, other, stranger = "7", "8", "9"
    limit = 4096
    half = {"TELEGRAM_BOT_TOKEN": TOKEN}
    signs_time = False
    api: BotApi

    @asynccontextmanager
    async def on(self, settings: Any) -> AsyncIterator[None]:
        settings.TELEGRAM_BOT_TOKEN, settings.TELEGRAM_WEBHOOK_SECRET = TOKEN, SECRET
        async with bot_api_server() as self.api:
            settings.TELEGRAM_API_BASE_URL = self.api.url
            yield
            await CHANNEL.close()

    def message(self, text: str, *, sender: str = "", number: int = 1) -> Post:
        who = int(sender or self.account)
        message = {
            "message_id": 70, "date": 1, "chat": {"id": who, "type": "private"}, "from": {"id": who, "is_bot": False},
            "text": text,
        }  # fmt: skip
        return self.signed(json.dumps({"update_id": number, "message": message}).encode())

    def press(self, token: str, *, sender: str = "") -> Post:
        who = int(sender or self.account)
        message = {"message_id": FIRST_MESSAGE, "date": 1, "chat": {"id": who, "type": "private"}}
        query = {"id": "42", "from": {"id": who, "is_bot": False}, "message": message, "data": token}
        return self.signed(json.dumps({"update_id": 5, "callback_query": query}).encode())

    def signed(self, body: bytes, *, age_s: float = 0) -> Post:
        return Post(body, {"Content-Type": "application/json", SECRET_HEADER: SECRET})

    def forged(self, post: Post) -> Post:
        return post.with_headers(**{SECRET_HEADER: "wrong"})

    def target(self, *, sender: str = "") -> dict[str, Any]:
        return {"chat": int(sender or self.account), "message": 70}

    def shown(self, account: str = "") -> list[str]:
        chat = int(account or self.account)
        return [
            visible_text(self.api.edited.get(FIRST_MESSAGE + index, text))
            for index, (shown_in, text) in enumerate(self.api.shown)
            if shown_in == chat
        ]

    def buttons(self, account: str = "") -> list[tuple[str, str]]:
        found: dict[str, list[tuple[str, str]]] = {}
        number = FIRST_MESSAGE
        for call in self.api.calls:
            if call.method not in {"sendMessage", "editMessageText"}:
                continue
            rows = json.loads(call.parameters.get("reply_markup", '{"inline_keyboard": []}'))["inline_keyboard"]
            pairs = [(button["text"], button["callback_data"]) for row in rows for button in row]
            if call.parameters["chat_id"] == (account or self.account):
                found[call.parameters.get("message_id", str(number))] = pairs
            number += call.method == "sendMessage"
        return [pair for pairs in found.values() for pair in pairs]

    def notices(self) -> list[str]:
        return [call.parameters["text"] for call in self.api.calls if call.method == "answerCallbackQuery"]

    async def until_noticed(self, number: int) -> None:
        await self.api.until(lambda _api: len(self.notices()) >= number)

    def flood(self, seconds: int) -> None:
        self.api.script.append(flood(seconds))

    def close_chat(self) -> None:
        self.api.script.append(refusal(403, BLOCKED))

    def refuse(self) -> None:
        self.api.script.append(refusal(400, "Bad Request: message is too long"))

    def cut(self, *, done: bool = False) -> None:
        self.api.script.append(Reply(cut=True, done=done))

    @property
    def calls(self) -> int:
        return len(self.api.calls)
