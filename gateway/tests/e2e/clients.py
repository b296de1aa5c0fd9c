"""Clients of the gateway: a chat socket whose every frame is checked against the schema, and Telegram's posts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import connect

from channels_app.tests.live import Client
from gateway.tests.e2e.processes import WEBHOOK_SECRET, Server, http

# A takeover waits for a lease of 10 s, perhaps for a server that starts, and a turn for its workspace.
PATIENCE_S = 40
LAST_EVENTS = frozenset({"done", "failed", "cancelled"})


class Chat(Client):
    """A client that knows what a page would show."""

    async def begin(self, content: str, **fields: Any) -> str:
        """Ask; the turn that was accepted."""
        await self.send("message", content=content, **fields)
        return str((await self.until("accepted"))["turn"])

    async def end_of(self, turn: str) -> dict[str, Any]:
        """The turn's last event."""
        while not (last := [event for event in self.events(turn) if event["type"] in LAST_EVENTS]):
            await self.next()
        return last[0]

    async def shows(self, turn: str, text: str) -> None:
        """Return when the page shows this text as a part of the turn's answer."""
        while text not in self.shown(turn):
            await self.next()

    async def resume(self, turn: str, earlier: "Chat") -> None:
        """Go on with a turn where an earlier socket of the same page ended."""
        self.frames[:0] = earlier.events(turn)
        await self.send("resume", turn=turn, after=self.numbers(turn)[-1])

    def shown(self, turn: str) -> str:
        """The answer on the page: a snapshot replaces the text that came before it."""
        page = ""
        for event in self.events(turn):
            if event["type"] == "snapshot":
                page = event["content"]
            elif event["type"] == "token":
                page += event["content"]
        return page

    def kinds(self, turn: str) -> list[str]:
        """The types of the turn's events, in their order."""
        return [event["type"] for event in self.events(turn)]

    def numbers(self, turn: str) -> list[int]:
        """The numbers of the turn's events, in their order."""
        return [event["seq"] for event in self.events(turn)]


@asynccontextmanager
async def chat(server: Server, user_id: str, *, token: str = "") -> AsyncIterator[Chat]:
    """A socket of the user's, after `ready`; with a token of an earlier life of the server, or a new one."""
    headers = {"Authorization": f"Bearer {token or server.token(user_id)}"}
    url = f"ws://127.0.0.1:{server.port}/ws/chat"
    async with connect(url, additional_headers=headers, max_size=None, proxy=None) as connection:
        client = Chat(connection, patience_s=PATIENCE_S)
        await client.until("ready")
        yield client


def update(number: int, text: str, *, account: int) -> dict[str, Any]:
    """What Telegram posts when a person writes to the bot. Source: Bot API, "Update"."""
    person = {"id": account, "is_bot": False, "first_name": "A person"}
    message = {
        "message_id": number,
        "date": 1,
        "chat": {"id": account, "type": "private"},
        "from": person,
        "text": text,
    }
    return {"update_id": number, "message": message}


def post(server: Server, body: dict[str, Any] | bytes, *, secret: str = WEBHOOK_SECRET) -> httpx.Response:
    """Post to Telegram's webhook."""
    headers = {"X-Telegram-Bot-Api-Secret-Token": secret}
    url = f"{server.url}/webhook/telegram"
    if isinstance(body, bytes):
        return http.post(url, content=body, headers=headers | {"Content-Type": "application/json"})
    return http.post(url, json=body, headers=headers)
