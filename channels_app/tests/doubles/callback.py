"""An integrator's server, and what it posts. Source: docs/channels.md."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from channels_app.channels.webhook import CHANNEL, SECRET, SIGNATURE, TIMESTAMP, URL, sign
from channels_app.tests.doubles.driver import Driver, Post
from channels_app.tests.doubles.peer import CUT, CUT_WHEN_DONE, Call, Peer, Reply, Shown, serving_peer

SECRET_VALUE = "only-for-tests-only-for-tests-only-for-tests"


class Callback(Peer):
    """Takes what is signed."""

    def answer(self, call: Call) -> Reply:
        assert call.headers[SIGNATURE] == sign(call.headers[TIMESTAMP], call.raw)
        said = call.body
        if said["type"] == "notice":
            self.notices.append((said["account"], said["text"]))
        elif said["type"] == "edit" and said["message"] not in self.shown:
            return Reply(404)
        else:
            buttons = [(button["label"], button["token"]) for button in said["buttons"]]
            self.shown[said["message"]] = Shown(said["account"], said["text"], buttons)
        return Reply()


class WebhookDriver(Driver):
    channel = CHANNEL
    account, other, stranger = "ada", "bob", "eve"
    half = {SECRET: SECRET_VALUE}

    def __init__(self) -> None:
        self.peer = Callback()

    @asynccontextmanager
    async def on(self, settings: Any) -> AsyncIterator[None]:
        settings.DEBUG = True
        async with serving_peer(self.peer):
            setattr(settings, SECRET, SECRET_VALUE)
            setattr(settings, URL, self.peer.url)
            yield
            await CHANNEL.close()

    def message(self, text: str, *, sender: str = "", number: int = 1) -> Post:
        return self._post(id=f"m{number}", account=sender or self.account, text=text)

    def press(self, token: str, *, sender: str = "") -> Post:
        return self._post(id="p1", account=sender or self.account, press=token)

    def _post(self, **fields: Any) -> Post:
        return self.signed(json.dumps(fields).encode())

    def signed(self, body: bytes, *, age_s: float = 0) -> Post:
        timestamp = str(int(time.time() - age_s))
        return Post(body, {"Content-Type": "application/json", TIMESTAMP: timestamp, SIGNATURE: sign(timestamp, body)})

    def forged(self, post: Post) -> Post:
        return post.with_headers(**{SIGNATURE: "v1=" + "0" * 64})

    def target(self, *, sender: str = "") -> dict[str, Any]:
        return {"account": sender or self.account, "thread": "", "reply_to": "m1"}

    def shown(self, account: str = "") -> list[str]:
        return self.peer.texts(account or self.account)

    def buttons(self, account: str = "") -> list[tuple[str, str]]:
        chat = account or self.account
        return [pair for message in self.peer.shown.values() if message.chat == chat for pair in message.buttons]

    def notices(self) -> list[str]:
        return [text for _, text in self.peer.notices]

    async def until_noticed(self, number: int) -> None:
        await self.peer.until(lambda: len(self.peer.notices) >= number)

    def flood(self, seconds: int) -> None:
        self.peer.script.append(Reply(429, headers={"Retry-After": str(seconds)}))

    def close_chat(self) -> None:
        self.peer.script.append(Reply(410))

    def refuse(self) -> None:
        self.peer.script.append(Reply(422))

    def cut(self, *, done: bool = False) -> None:
        self.peer.script.append(CUT_WHEN_DONE if done else CUT)

    @property
    def calls(self) -> int:
        return len(self.peer.calls)
