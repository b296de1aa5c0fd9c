"""Slack's Web API, and what Slack posts. Source: docs.slack.dev; PLATFORMS: one message a second and channel."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlencode

from slack_sdk.signature import SignatureVerifier

from channels_app.channels._slack.api import BASE_URL
from channels_app.channels._slack.api import TOKEN as TOKEN_SETTING
from channels_app.channels.slack import CHANNEL, SIGNING_SECRET
from channels_app.tests.doubles.driver import Driver, Post
from channels_app.tests.doubles.peer import CUT, CUT_WHEN_DONE, Call, Peer, Reply, Shown, serving_peer

TOKEN = "xoxb-only-for-tests-0123456789"
SECRET = "0123456789abcdef0123456789abcdef"
TEAM, BOT = "T1", "UBOT"
MAX_TEXT, MAX_SECTION, MAX_PROMPTS, MAX_ALT = 40_000, 3000, 4, 1000
UPLOADS = "/upload/v1/"
# Source: slackapi/bolt-js, issue 2115, without the least length of real ids.
_CHANNEL = re.compile(r"[CGDZ][A-Z0-9]+")


def refused(error: str) -> Reply:
    """Slack says no, with status 200."""
    return Reply(200, {"ok": False, "error": error})


class SlackApi(Peer):
    """Keeps its own rules; with `per_second` also the limit of one message a second in a channel."""

    per_second = False
    streams = True

    def __init__(self) -> None:
        super().__init__()
        self.statuses: list[tuple[str, str]] = []
        self.titles: list[tuple[str, str, str]] = []
        self.prompts: list[dict[str, Any]] = []
        self.pictures: list[bytes] = []
        self.descriptions: list[str] = []
        self._uploads: list[bytes] = []
        self._posted_at: dict[str, float] = {}

    def answer(self, call: Call) -> Reply:
        if call.path.startswith(UPLOADS):
            return self._upload(call)
        assert call.headers["authorization"] == f"Bearer {TOKEN}"
        if call.method == "GET":
            return self.file(call)
        method = call.path.removeprefix("/")
        handler = getattr(self, "_" + method.replace(".", "_"), None)
        return handler(_arguments(call)) if handler else refused("unknown_method")

    def _chat_postMessage(self, asked: dict[str, Any]) -> Reply:  # noqa: N802 - the method's name
        channel = _direct(asked["channel"])
        now = asyncio.get_running_loop().time()
        if self.per_second and now - self._posted_at.get(channel, -1.0) < 1.0:
            return Reply(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "1"})
        if not asked["text"].strip():
            return refused("no_text")
        assert not asked["unfurl_links"]
        assert not asked["unfurl_media"]
        if fault := _fault(asked):
            return refused(fault)
        self._posted_at[channel] = now
        return self._made(Shown(channel, asked["text"], _buttons(asked)))

    def _chat_update(self, asked: dict[str, Any]) -> Reply:
        message = self.shown.get(asked["ts"])
        if message is None or message.chat != asked["channel"]:
            return refused("message_not_found")
        if message.streaming:
            return refused("streaming_state_conflict")
        if fault := _fault(asked):
            return refused(fault)
        message.text, message.buttons = asked["text"], _buttons(asked)
        return Reply(200, {"ok": True, "channel": message.chat, "ts": asked["ts"]})

    def _chat_postEphemeral(self, asked: dict[str, Any]) -> Reply:  # noqa: N802 - the method's name
        self.notices.append((asked["user"], asked["text"]))
        return Reply(200, {"ok": True, "message_ts": "1.1"})

    def _assistant_threads_setStatus(self, asked: dict[str, Any]) -> Reply:  # noqa: N802 - the method's name
        self.statuses.append((asked["channel_id"], asked["thread_ts"]))
        return Reply(200, {"ok": True})

    def _assistant_threads_setTitle(self, asked: dict[str, Any]) -> Reply:  # noqa: N802 - the method's name
        self.titles.append((asked["channel_id"], asked["thread_ts"], asked["title"]))
        return Reply(200, {"ok": True})

    def _assistant_threads_setSuggestedPrompts(self, asked: dict[str, Any]) -> Reply:  # noqa: N802 - the method's name
        if not 0 < len(asked["prompts"]) <= MAX_PROMPTS or any(
            set(each) != {"title", "message"} for each in asked["prompts"]
        ):
            return refused("invalid_arguments")
        self.prompts.append(asked)
        return Reply(200, {"ok": True})

    def _chat_startStream(self, asked: dict[str, Any]) -> Reply:  # noqa: N802 - the method's name
        if not self.streams:
            return refused("method_not_supported_for_channel_type")
        if not (asked["thread_ts"] and asked["recipient_team_id"] and asked["recipient_user_id"]):
            return refused("invalid_arguments")
        return self._made(Shown(asked["channel"], asked["markdown_text"], streaming=True))

    def _chat_appendStream(self, asked: dict[str, Any]) -> Reply:  # noqa: N802 - the method's name
        message = self.shown[asked["ts"]]
        if not message.streaming:
            return refused("message_not_in_streaming_state")
        message.text += asked["markdown_text"]
        return Reply(200, {"ok": True, "channel": message.chat, "ts": asked["ts"]})

    def _chat_stopStream(self, asked: dict[str, Any]) -> Reply:  # noqa: N802 - the method's name
        message = self.shown[asked["ts"]]
        if not message.streaming:
            return refused("message_not_in_streaming_state")
        message.streaming = False
        return Reply(200, {"ok": True, "channel": message.chat, "ts": asked["ts"]})

    def _conversations_open(self, asked: dict[str, Any]) -> Reply:
        return Reply(200, {"ok": True, "channel": {"id": _direct(asked["users"])}})

    def _files_getUploadURLExternal(self, asked: dict[str, Any]) -> Reply:  # noqa: N802 - the method's name
        if "filename" not in asked or int(asked.get("length", 0)) < 1:
            return refused("missing_argument")
        if len(asked["alt_txt"]) > MAX_ALT:
            return refused("alt_txt_too_large")
        self.descriptions.append(asked["alt_txt"])
        self._uploads.append(b"")
        number = len(self._uploads)
        return Reply(200, {"ok": True, "upload_url": f"{self.url}{UPLOADS}{number}", "file_id": f"F{number}"})

    def _upload(self, call: Call) -> Reply:
        assert "authorization" not in call.headers
        self._uploads[int(call.path.removeprefix(UPLOADS)) - 1] = call.raw
        return Reply(200, b"OK - 8", {"Content-Type": "text/plain"})

    def _files_completeUploadExternal(self, asked: dict[str, Any]) -> Reply:  # noqa: N802 - the method's name
        if not _CHANNEL.fullmatch(asked["channel_id"]):
            return refused("invalid_arguments")
        [file] = json.loads(asked["files"])
        content = self._uploads[int(file["id"][1:]) - 1]
        if not content:
            return refused("file_not_found")
        self.pictures.append(content)
        self._made(Shown(asked["channel_id"], file["title"]))
        return Reply(200, {"ok": True, "files": [file]})

    def _made(self, message: Shown) -> Reply:
        ts = f"170000{len(self.shown):04}.000100"
        self.shown[ts] = message
        return Reply(200, {"ok": True, "channel": message.chat, "ts": ts})


def _arguments(call: Call) -> dict[str, Any]:
    """Methods for files know forms only."""
    is_form = call.headers["content-type"] == "application/x-www-form-urlencoded"
    assert is_form == call.path.startswith("/files.")
    return dict(parse_qsl(call.raw.decode(), strict_parsing=True)) if is_form else call.body


def _direct(channel: str) -> str:
    """A user's id opens the direct messages with them."""
    return f"D{channel[1:]}" if channel.startswith("U") else channel


def _fault(asked: dict[str, Any]) -> str:
    if len(asked["text"]) > MAX_TEXT:
        return "msg_too_long"
    texts = [block["text"]["text"] for block in asked.get("blocks", []) if block["type"] == "section"]
    return "invalid_blocks" if any(not 0 < len(text) <= MAX_SECTION for text in texts) else ""


def _buttons(asked: dict[str, Any]) -> list[tuple[str, str]]:
    elements = [each for block in asked.get("blocks", []) if block["type"] == "actions" for each in block["elements"]]
    return [(each["text"]["text"], each["value"]) for each in elements]


def event(text: str | None = "Hi", *, event_id: str = "Ev1", **fields: Any) -> dict[str, Any]:
    """A direct message of U7."""
    written = {"type": "message", "channel_type": "im", "user": "U7", "channel": "D7", "ts": "1700000000.000100"}
    return {
        "type": "event_callback",
        "team_id": TEAM,
        "event_id": event_id,
        "event": written | {"text": text} | fields,
        "authorizations": [{"user_id": BOT, "is_bot": True}],
    }


class SlackDriver(Driver):
    channel = CHANNEL
    account, other, stranger = "T1:U7", "T1:U8", "T1:U9"
    limit = 4000
    half = {TOKEN_SETTING: TOKEN}

    def __init__(self) -> None:
        self.peer = SlackApi()

    @asynccontextmanager
    async def on(self, settings: Any) -> AsyncIterator[None]:
        settings.DEBUG = True
        async with serving_peer(self.peer):
            for name, value in ((TOKEN_SETTING, TOKEN), (SIGNING_SECRET, SECRET), (BASE_URL, self.peer.url)):
                setattr(settings, name, value)
            yield
            await CHANNEL.close()

    def message(self, text: str, *, sender: str = "", number: int = 1) -> Post:
        user = _user(sender or self.account)
        value = event(text, event_id=f"Ev{number}", user=user, channel=f"D{user[1:]}")
        return self.signed(json.dumps(value).encode())

    def press(self, token: str, *, sender: str = "") -> Post:
        user = _user(sender or self.account)
        payload = {
            "type": "block_actions", "user": {"id": user, "team_id": TEAM}, "team": {"id": TEAM, "domain": "x"},
            "channel": {"id": f"D{user[1:]}"}, "message": {"ts": "1.1"},
            "actions": [{"type": "button", "action_id": "choice_0", "value": token}],
        }  # fmt: skip
        return self.form(payload=json.dumps(payload))

    def form(self, **fields: str) -> Post:
        return self.signed(urlencode(fields).encode()).with_headers(
            **{"Content-Type": "application/x-www-form-urlencoded"}
        )

    def signed(self, body: bytes, *, age_s: float = 0) -> Post:
        """By Slack's own library."""
        timestamp = str(int(time.time() - age_s))
        signature = SignatureVerifier(SECRET).generate_signature(timestamp=timestamp, body=body)
        headers = {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": str(signature)}
        return Post(body, {"Content-Type": "application/json"} | headers)

    def forged(self, post: Post) -> Post:
        return post.with_headers(**{"X-Slack-Signature": "v0=" + "0" * 64})

    def target(self, *, sender: str = "") -> dict[str, Any]:
        user = _user(sender or self.account)
        return {"team": TEAM, "user": user, "channel": f"D{user[1:]}", "thread": ""}

    def shown(self, account: str = "") -> list[str]:
        return self.peer.texts(f"D{_user(account or self.account)[1:]}")

    def buttons(self, account: str = "") -> list[tuple[str, str]]:
        chat = f"D{_user(account or self.account)[1:]}"
        return [pair for message in self.peer.shown.values() if message.chat == chat for pair in message.buttons]

    def notices(self) -> list[str]:
        return [text for _, text in self.peer.notices]

    async def until_noticed(self, number: int) -> None:
        await self.peer.until(lambda: len(self.peer.notices) >= number)

    def flood(self, seconds: int) -> None:
        self.peer.script.append(Reply(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": str(seconds)}))

    def close_chat(self) -> None:
        self.peer.script.append(refused("channel_not_found"))

    def refuse(self) -> None:
        self.peer.script.append(refused("msg_too_long"))

    def cut(self, *, done: bool = False) -> None:
        self.peer.script.append(CUT_WHEN_DONE if done else CUT)

    @property
    def calls(self) -> int:
        return len(self.peer.calls)


def _user(account: str) -> str:
    return account.partition(":")[2]
