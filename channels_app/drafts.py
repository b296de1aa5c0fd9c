"""Answers as the platform's own drafts, for accounts that ask for it by `/drafts on`: they pass, and have a button to stop.

Telegram's clients animate a draft, and some of them flicker: so it is a wish, and an answer is else one message that is edited.
"""

from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.links import user_of
from agents.open_turns import open_turns
from agents.turns import cancel_turn
from channels_app.channels import Channel, Halt, Inbound
from channels_app.deliveries.intake import text_letter
from channels_app.deliveries.rows import put
from gateway.db import connection

COMMAND = "/drafts"
ON = gettext_noop("From now on you see my answers grow as drafts, with a button to stop them. `/drafts off` ends that.")
OFF = gettext_noop(
    "From now on my answers grow in one message that I edit. `/drafts on` shows them as drafts, with a button to stop."
)
# A draft's number is one of these, and never 0. Source: Bot API, sendMessageDraft: "must be non-zero".
NUMBERS = 2**28


def parse(content: str | None) -> bool | None:
    """Whether a message asks for drafts (true), for none (false, also without a word), or for something else."""
    words = (content or "").lower().split()
    if not words or words[0].partition("@")[0] != COMMAND:
        return None
    return words[1:] == ["on"]


async def answer(channel: Channel, inbound: Inbound, *, wanted: bool, user_id: str) -> str:
    """Keep the wish and say so, in one transaction; what became of it, in a word. Raises psycopg.Error."""
    target, origin = channel.private(inbound.target), f"{channel.name}:{inbound.external_id}"
    letter = text_letter(channel, _(ON if wanted else OFF), target=target, origin=origin, user_id=user_id)
    async with connection() as conn, conn.transaction():
        await conn.execute(
            "INSERT INTO draft_wishes (channel, account) VALUES (%s, %s) ON CONFLICT (channel, account) DO NOTHING"
            if wanted
            else "DELETE FROM draft_wishes WHERE channel = %s AND account = %s",
            (channel.name, inbound.sender),
        )
        await put(conn, [letter])
    return "drafts_on" if wanted else "drafts_off"


async def wished(channel: str, account: str) -> bool:
    """Whether an account asked for drafts. Raises psycopg.Error."""
    async with connection() as conn:
        cursor = await conn.execute(
            "SELECT 1 FROM draft_wishes WHERE channel = %s AND account = %s", (channel, account)
        )
        return await cursor.fetchone() is not None


def number_of(turn: str) -> int:
    """The number of a turn's draft."""
    return UUID(turn).int % NUMBERS + 1


async def halt(channel: Channel, halted: Halt) -> str:
    """Stop the turn whose draft somebody stopped, if it is theirs; what became of it, in a word. Raises psycopg.Error."""
    user_id = await user_of(channel.name, halted.sender)
    if user_id is None:
        return "unlinked"
    turns = [turn for turn in await open_turns(user_id) if number_of(turn) == halted.draft]
    for turn in turns:
        await cancel_turn(turn, user_id=user_id)
    return "halted" if turns else "unknown_draft"
