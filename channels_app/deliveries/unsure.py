"""A message that may have been shown is never sent again; whoever it was for is told once that something may be missing."""

from dataclasses import replace

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, override

from accounts.languages import Tongues, tongues_on
from channels_app.channels import Channel, Target, channel_that_is_on
from channels_app.deliveries.intake import text_letter
from channels_app.deliveries.preview_rows import PREVIEW
from channels_app.deliveries.rows import Letter, put
from gateway.db import connection

UNSURE = gettext_noop(
    "I can't tell whether all that I said here arrived. If something is missing above, you find it on the web page."
)
# What is older is no news any more.
TOLD_WITHIN_HOURS = 1


async def own_up() -> None:
    """Tell it in the chat, once for each turn and chat, whichever process finds it. Raises psycopg.Error."""
    async with connection() as conn:
        cursor = await conn.execute(
            "SELECT DISTINCT ON (d.turn_id, d.lane_id) d.turn_id::text, d.channel, d.target, d.user_id FROM deliveries d"
            " WHERE d.state = 'ambiguous' AND d.kind <> %s AND d.turn_id IS NOT NULL"
            " AND d.settled_at > clock_timestamp() - %s * interval '1 hour'"
            " AND NOT EXISTS (SELECT 1 FROM deliveries u WHERE u.origin = 'unsure:' || d.turn_id || ':' || d.lane_id)"
            " ORDER BY d.turn_id, d.lane_id, d.id",
            (PREVIEW, TOLD_WITHIN_HOURS),
        )
        found = await cursor.fetchall()
        tongues = await tongues_on(conn, {user_id for *_rest, user_id in found})
        letters = [
            _letter(channel, turn, target=target, user_id=user_id, tongues=tongues)
            for turn, name, target, user_id in found
            if (channel := channel_that_is_on(name)) is not None
        ]
        if letters:
            async with conn.transaction():
                await put(conn, letters)


def _letter(channel: Channel, turn: str, *, target: Target, user_id: str, tongues: Tongues) -> Letter:
    with override(tongues.of(user_id, channel=channel.name, account=channel.account_of(target))):
        made = text_letter(channel, _(UNSURE), target=channel.answered(target), origin="", user_id=user_id)
    return replace(made, origin=f"unsure:{turn}:{made.lane}")
