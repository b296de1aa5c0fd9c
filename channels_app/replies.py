"""What the gateway itself says on a message: letters, and refusals that are told once."""

from dataclasses import replace
from typing import Any

from agents.errors import Refused
from channels_app.channels import Channel, Inbound
from channels_app.deliveries.intake import text_letter
from channels_app.deliveries.rows import Letter, put
from gateway.db import Connection, connection

# A chat that sends too much is told once until the limit resets, and not for each message.
LIMITS = frozenset({"rate_limited", "budget_exhausted", "not_included", "queue_full"})
# The shorter window: a person who goes on at its edge is not told at every message.
LEAST_SILENCE_S = 60
# Who comes back after an hour has forgotten.
MOST_SILENCE_S = 3600


def letter(channel: Channel, inbound: Inbound, text: str, *, user_id: str) -> Letter:
    """What is said to the author of a message alone, at once: no part of an answer to an earlier one comes before it."""
    origin = f"{channel.name}:{inbound.external_id}"
    made = text_letter(channel, text, target=channel.private(inbound.target), origin=origin, user_id=user_id)
    return replace(made, urgent=True)


def aside_letter(channel: Channel, inbound: Inbound, text: str, *, user_id: str) -> Letter:
    """What is said where the message was written, for all to read."""
    target, origin = inbound.aside or inbound.target, f"{channel.name}:{inbound.external_id}:aside"
    return text_letter(channel, text, target=target, origin=origin, user_id=user_id)


def letter_on(channel: Channel, message: dict[str, Any], text: str, *, about: str, user_id: str) -> Letter:
    """The same on a message that waited in the inbox; each `about` once.

    It asks little of the message, which another version may have kept.
    """
    target, origin = message["target"], f"{channel.name}:{message['external_id']}:{about}"
    return replace(
        text_letter(channel, text, target=channel.private(target), origin=origin, user_id=user_id), urgent=True
    )


def others_read(channel: Channel, inbound: Inbound) -> bool:
    """Whether more people than its author read a message."""
    return inbound.aside is not None or channel.private(inbound.target) != inbound.target


async def say(letters: list[Letter]) -> None:
    """Store what is to be said. Raises psycopg.Error."""
    async with connection() as conn, conn.transaction():
        await put(conn, letters)


async def refuse_on(conn: Connection, refusal: Refused, said: Letter, *, always: bool = False) -> bool:
    """Say in a letter that a message is refused, in the caller's transaction; whether it was said.

    Of a limit a chat is told once until it resets, as it was told then, unless `always`.
    """
    if refusal.code in LIMITS and not always:
        silence_s = min(max(refusal.retry_after_s or 0, LEAST_SILENCE_S), MOST_SILENCE_S)
        cursor = await conn.execute(
            "INSERT INTO told_limits AS t (chat, code, until) VALUES (%s, %s, clock_timestamp() + %s * interval '1 second')"
            " ON CONFLICT (chat, code) DO UPDATE SET until = excluded.until WHERE t.until <= clock_timestamp()",
            (said.lane, refusal.code, silence_s),
        )
        if cursor.rowcount == 0:
            return False
    await put(conn, [said])
    return True
