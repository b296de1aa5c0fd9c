"""Senders whose every step a test does, what they are given to say, and what became of it."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from agents.outbox import OutboxRow
from agents.outbox import put as put_outbox
from channels_app.channels import Channel, Target
from channels_app.channels.telegram import CHANNEL
from channels_app.deliveries.attempts import attempt
from channels_app.deliveries.intake import take_outbox, text_letter
from channels_app.deliveries.rows import Claim, begin_sending, claim_next, put
from channels_app.deliveries.settling import Outcome, settle
from channels_app.inbox_desk import Desk
from channels_app.tests.chats.tables import rows
from gateway.db import connection
from gateway.ids import new_id, new_uuid


async def tell(text: str, *, chat: int = 7, origin: str = "") -> None:
    """Write the intent to say something in a chat."""
    await tell_on(CHANNEL, text, target={"chat": chat, "message": 1}, origin=origin)


async def tell_on(channel: Channel, text: str, *, target: Target, origin: str = "", user: str = "") -> None:
    """The same on any channel."""
    letter = text_letter(channel, text, target=target, origin=origin or new_id(), user_id=user)
    async with connection() as conn, conn.transaction():
        await put(conn, [letter])


async def answer(content: str, *, kind: str = "done", chat: int = 7, **payload: Any) -> None:
    """What the agent commits when a turn has ended."""
    row = OutboxRow(
        new_id(), None, "demo-pro", "telegram", {"chat": chat, "message": 1}, kind, {"content": content} | payload
    )
    async with connection() as conn, conn.transaction():
        await put_outbox(conn, row)


async def states() -> list[str]:
    return [row[0] for row in await rows("SELECT state FROM deliveries ORDER BY id")]


async def let_all_be_due() -> None:
    """Time passes."""
    await rows("UPDATE deliveries SET run_after = clock_timestamp()")
    await rows("UPDATE chat_lanes SET not_before = clock_timestamp()")


async def take_files(holder: UUID) -> int:
    """A process takes all that waits and is due in the inbox; how many messages that was."""
    desk, taken = Desk(holder), 0
    while begun := await desk.begin():
        taken += begun
        await desk.rest()
    return taken


@dataclass
class Sender:
    """A worker process as the database sees it, whose every step the test does."""

    id: UUID

    async def claim(self) -> Claim | None:
        return await claim_next(self.id)

    async def send_next(self) -> Outcome | None:
        claim = await self.claim()
        if claim is None:
            return None
        assert await begin_sending(claim, holder=self.id)
        outcome = await attempt(claim)
        assert await settle(claim, outcome)
        return outcome

    async def die(self) -> None:
        await rows(f"UPDATE worker_leases SET expires_at = '2000-01-01' WHERE id = '{self.id}'")


async def new_sender() -> Sender:
    lease = new_uuid()
    await rows(
        f"INSERT INTO worker_leases (id, name, expires_at) VALUES ('{lease}', 'test', clock_timestamp() + interval '1 h')"
    )
    return Sender(lease)


async def deliver(sender: Sender) -> None:
    """Everything that waits to be said is said."""
    while await take_outbox():
        pass
    while True:
        await let_all_be_due()
        if await sender.send_next() is None:
            return
