"""One user's private chat on any channel, as the contract test drives it."""

import asyncio
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx

from agents.tests.engine import TestWorker, frames
from channels_app.deliveries.previews import Previews
from channels_app.tests.chats.sending import Sender, deliver, tell_on
from channels_app.tests.doubles.driver import Driver, Post
from gateway.db import connection
from gateway.ids import new_uuid


async def link_account(user: str, channel: str, account: str) -> None:
    """Let an account speak for a user."""
    async with connection() as conn:
        await conn.execute(
            "INSERT INTO user_channel_links (id, user_id, channel_type, channel_user_id) VALUES (%s, %s, %s, %s)",
            (new_uuid(), user, channel, account),
        )


@dataclass
class Chat:
    """Posts to the gateway, and a sender whose every step the test does."""

    driver: Driver
    http: httpx.AsyncClient
    sender: Sender

    async def post(self, post: Post) -> httpx.Response:
        """Send a request to the channel's webhook."""
        return await self.http.post(f"/webhook/{self.driver.channel.name}", content=post.body, headers=post.headers)

    async def write(self, text: str, *, sender: str = "", number: int = 1) -> httpx.Response:
        """Somebody writes; it is acknowledged."""
        response = await self.post(self.driver.message(text, sender=sender, number=number))
        assert response.status_code == 200, response.text
        return response

    async def deliver(self) -> None:
        """Everything that waits to be said is said."""
        await deliver(self.sender)

    async def tell(self, text: str, *, user: str = "demo-pro", origin: str = "") -> None:
        """Write the intent to say something in the account's chat."""
        await tell_on(self.driver.channel, text, target=self.driver.target(), origin=origin, user=user)


@dataclass
class Previewing:
    """The previews of one worker process, whose clock the test turns."""

    worker: TestWorker
    now: float = 0.0
    previews: Previews = field(init=False)

    def __post_init__(self) -> None:
        self.previews = Previews(UUID(str(self.worker.id)), clock=lambda: self.now)

    async def say(self, turn: str, text: str) -> None:
        """The turn's answer goes on, and stands in its journal."""
        await self.worker.order(turn, "say", text)
        async with asyncio.timeout(60):
            while text not in "".join(frame.get("content", "") for frame in await frames(turn)):  # noqa: ASYNC110
                # Text waits 25 ms for more of it.
                await asyncio.sleep(0.005)

    async def look(self, *, after_s: float = 10.0) -> None:
        """Time passes, and what was written since is shown."""
        self.now += after_s
        await self.previews.look()


def flat(parts: list[str]) -> str:
    """Texts without white space, so that cuts don't count."""
    return "".join("".join(parts).split())


def codes(responses: list[Any]) -> list[int]:
    return [response.status_code for response in responses]
