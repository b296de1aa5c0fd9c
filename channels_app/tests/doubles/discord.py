"""Discord's API, and what Discord posts. Source: discord.com/developers, "Interactions", "Rate Limits"."""

import asyncio
import json
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from email import message_from_bytes
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from channels_app.channels._discord.api import APPLICATION_ID, BASE_URL, BOT_TOKEN
from channels_app.channels._discord.interactions import EPOCH_MS
from channels_app.channels.discord import CHANNEL, PUBLIC_KEY
from channels_app.tests.doubles.driver import Driver, Post
from channels_app.tests.doubles.peer import CUT, CUT_WHEN_DONE, Call, Peer, Reply, Shown, serving_peer

APPLICATION, TOKEN = "123456", "only-for-tests"
KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw).hex()
MAX_CONTENT = 2000
MAX_NONCE = 25
BUCKET, BUCKET_S = 5, 5.0


def refused(status: int, code: int, message: str = "No", **more: Any) -> Reply:
    """Discord says no."""
    return Reply(status, {"code": code, "message": message} | more)


class DiscordApi(Peer):
    """Keeps its own rules; with `buckets` also the limit of five messages in five seconds for a channel."""

    buckets = False

    def __init__(self) -> None:
        super().__init__()
        self.typing: list[str] = []
        self.pictures: list[Any] = []
        self.expired: set[str] = set()
        self.unanswered: set[str] = set()
        self.commands: list[dict[str, Any]] = []
        self._by_nonce: dict[str, str] = {}
        self._posted: dict[str, deque[float]] = defaultdict(deque)

    def answer(self, call: Call) -> Reply:
        if call.path.startswith("/attachments/"):
            return self.file(call)
        if call.headers.get("content-type", "").startswith("multipart/form-data"):
            call = self._uploaded(call)
        steps = call.path.partition("?")[0].strip("/").split("/")
        if steps[0] == "webhooks":
            assert "authorization" not in call.headers
            return self._by_interaction(call, steps[2], steps[4] if len(steps) > 3 else "")
        assert call.headers["authorization"] == f"Bot {TOKEN}"
        if steps[0] == "applications":
            self.commands = call.body
            return Reply(200, self.commands)
        if steps == ["users", "@me", "channels"]:
            return Reply(200, {"id": _direct(call.body["recipient_id"])})
        return self._in_channel(call, steps[1], steps[3] if len(steps) > 3 else "")

    def _uploaded(self, call: Call) -> Call:
        """The request without the picture that it uploads."""
        form = message_from_bytes(f"Content-Type: {call.headers['content-type']}\r\n\r\n".encode() + call.raw)
        fields = {str(part.get_param("name", header="content-disposition")): part for part in form.walk()}
        body = str(fields["payload_json"].get_payload())
        [attachment] = json.loads(body)["attachments"]
        assert (attachment["id"], attachment["filename"]) == (0, fields["files[0]"].get_filename())
        self.pictures.append(fields["files[0]"].get_payload(decode=True))
        return replace(call, raw=body.encode())

    def _by_interaction(self, call: Call, token: str, message: str) -> Reply:
        if token in self.unanswered:
            return refused(404, 10015, "Unknown Webhook")
        if token in self.expired:
            return refused(401, 50027, "Invalid Webhook Token")
        user = token.split(".")[1]
        original = f"1{int.from_bytes(token.encode()) % 10**9}"
        if message and message != "@original":
            return self._edit(call, message)
        if not message and call.body["flags"] & 64 and call.path.endswith(token):
            self.notices.append((user, call.body["content"]))
            return Reply(200, {"id": "5"})
        if message or original not in self.shown:
            # Source: "Create Followup Message": after a deferred response it functions as Edit Original Interaction Response.
            # Who sees it was said when it was deferred: here alike.
            hidden = not message and bool(call.body["flags"] & 64)
            self.shown.setdefault(original, Shown(_direct(user), "", [], hidden))
            return self._edit(call, original)
        return self._make(call, _direct(user))

    def _in_channel(self, call: Call, channel: str, message: str) -> Reply:
        if call.path.endswith("/typing"):
            self.typing.append(channel)
            return Reply(204, b"")
        if message:
            return self._edit(call, message)
        now, posted = asyncio.get_running_loop().time(), self._posted[channel]
        while posted and posted[0] <= now - BUCKET_S:
            posted.popleft()
        if self.buckets and len(posted) >= BUCKET:
            wait = {"message": "You are being rate limited.", "retry_after": 0.25, "global": False}
            return Reply(429, wait, {"Retry-After": "1", "X-RateLimit-Scope": "user"})
        posted.append(now)
        return self._make(call, channel)

    def _make(self, call: Call, channel: str) -> Reply:
        if fault := _fault(call.body):
            return fault
        nonce = call.body.get("nonce") if call.body.get("enforce_nonce") else None
        assert nonce is None or 0 < len(nonce) <= MAX_NONCE
        if nonce in self._by_nonce:
            return Reply(200, {"id": self._by_nonce[nonce]})
        number = str(2 * 10**9 + len(self.shown))
        if nonce:
            self._by_nonce[nonce] = number
        hidden = bool(call.body["flags"] & 64)
        self.shown[number] = Shown(channel, call.body["content"], _buttons(call.body), hidden)
        return Reply(200, {"id": number})

    def _edit(self, call: Call, number: str) -> Reply:
        if number not in self.shown:
            return refused(404, 10008, "Unknown Message")
        if fault := _fault(call.body):
            return fault
        self.shown[number].text, self.shown[number].buttons = call.body["content"], _buttons(call.body)
        return Reply(200, {"id": number})


def _fault(body: dict[str, Any]) -> Reply | None:
    assert body["allowed_mentions"] == {"parse": []}
    assert body["flags"] & 4
    units = len(body["content"].encode("utf-16-le")) // 2
    return None if 0 < units <= MAX_CONTENT else refused(400, 50035, "Invalid Form Body")


def _direct(user: str) -> str:
    return f"9{user}"


def _buttons(body: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["label"], each["custom_id"]) for row in body["components"] for each in row["components"]]


def snowflake(number: int = 1, *, age_s: float = 0) -> str:
    """An id that Discord gave so long ago."""
    return str((int((time.time() - age_s) * 1000 - EPOCH_MS) << 22) + number)


def interaction(name: str = "ask", value: str | None = "Hi", *, sender: str = "7", **fields: Any) -> dict[str, Any]:
    """A command in direct messages with the bot."""
    options = [] if value is None else [{"name": "text", "type": 3, "value": value}]
    number = fields.pop("id", None) or snowflake()
    return {
        "id": number,
        "type": 2,
        "application_id": APPLICATION,
        "token": f"token.{sender}.{number}",
        "channel_id": _direct(sender),
        "user": {"id": sender, "username": "ada", "global_name": "Ada"},
        "data": {"id": "5", "name": name, "type": 1, "options": options},
    } | fields


class DiscordDriver(Driver):
    channel = CHANNEL
    account, other, stranger = "7", "8", "9"
    limit = MAX_CONTENT
    half = {BOT_TOKEN: TOKEN}

    def __init__(self) -> None:
        self.peer = DiscordApi()
        self._now = int(snowflake(0))

    @asynccontextmanager
    async def on(self, settings: Any) -> AsyncIterator[None]:
        settings.DEBUG = True
        async with serving_peer(self.peer):
            values = {APPLICATION_ID: APPLICATION, BOT_TOKEN: TOKEN, PUBLIC_KEY: PUBLIC, BASE_URL: self.peer.url}
            for name, value in values.items():
                setattr(settings, name, value)
            yield
            await CHANNEL.close()

    def message(self, text: str, *, sender: str = "", number: int = 1) -> Post:
        name, value = (text[1:].partition(" ")[::2]) if text.startswith("/") else ("ask", text)
        made = interaction(name, value or None, sender=sender or self.account, id=str(self._now + number))
        return self.signed(json.dumps(made).encode())

    def press(self, token: str, *, sender: str = "") -> Post:
        made = interaction(sender=sender or self.account, type=3, data={"custom_id": token, "component_type": 2})
        return self.signed(json.dumps(made).encode())

    def signed(self, body: bytes, *, age_s: float = 0) -> Post:
        timestamp = str(int(time.time() - age_s))
        signature = KEY.sign(timestamp.encode() + body).hex()
        headers = {"X-Signature-Timestamp": timestamp, "X-Signature-Ed25519": signature}
        return Post(body, {"Content-Type": "application/json"} | headers)

    def forged(self, post: Post) -> Post:
        return post.with_headers(**{"X-Signature-Ed25519": "0" * 128})

    def target(self, *, sender: str = "") -> dict[str, Any]:
        """Of direct messages, which the Gateway tells of."""
        user = sender or self.account
        return {"user": user, "channel": _direct(user), "message": "70"}

    def shown(self, account: str = "") -> list[str]:
        return self.peer.texts(_direct(account or self.account))

    def buttons(self, account: str = "") -> list[tuple[str, str]]:
        chat = _direct(account or self.account)
        return [pair for message in self.peer.shown.values() if message.chat == chat for pair in message.buttons]

    def notices(self) -> list[str]:
        return [text for _, text in self.peer.notices]

    async def until_noticed(self, number: int) -> None:
        await self.peer.until(lambda: len(self.peer.notices) >= number)

    def flood(self, seconds: int) -> None:
        body = {"message": "You are being rate limited.", "retry_after": float(seconds), "global": False}
        self.peer.script.append(Reply(429, body))

    def close_chat(self) -> None:
        self.peer.script.append(refused(403, 50007, "Cannot send messages to this user"))

    def refuse(self) -> None:
        self.peer.script.append(refused(400, 50035, "Invalid Form Body"))

    def cut(self, *, done: bool = False) -> None:
        self.peer.script.append(CUT_WHEN_DONE if done else CUT)

    @property
    def calls(self) -> int:
        return len(self.peer.calls)
