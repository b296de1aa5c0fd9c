"""An answer, or a part of one, that its chat refuses or that could not be sent for a day: the chat is told once.

It stands in the transaction that gives the part up, so no restart loses it. What tells of it belongs to no turn, so nothing is
ever told of that.
"""

from typing import LiteralString

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, override

from accounts.languages import tongues_on
from channels_app.channels import channel_that_is_on
from channels_app.deliveries.detours import ALERT
from channels_app.deliveries.intake import text_letter
from channels_app.deliveries.preview_rows import ENDS
from channels_app.deliveries.rows import MAX_AGE_HOURS, lock_lanes, put
from channels_app.models import DeliveryState
from gateway.db import Connection
from gateway.leases import holder_alive

MISSING = gettext_noop("A part of this answer can't be shown here. It stands on the web page.")
ALERT_MISSING = gettext_noop("An alert can't be shown here. It stands on the web page.")
_TOO_OLD: LiteralString = f"""
    d.state = 'pending' AND d.created_at < clock_timestamp() - interval '{MAX_AGE_HOURS} hours'
    AND (d.holder IS NULL OR NOT {holder_alive("d")})
"""
_EXPIRE = f"""
    UPDATE deliveries d SET state = 'failed', holder = NULL, body = NULL, settled_at = clock_timestamp(),
        error = 'Not sent within {MAX_AGE_HOURS} hours. ' || d.error
    WHERE {_TOO_OLD} AND d.lane_id = ANY(%s) RETURNING d.id, d.channel
"""
# One for each turn and chat. Of an answer that grows only its end can be missing; what is asked stands in all chats.
_LOST = """
    SELECT DISTINCT ON (d.turn_id, d.lane_id) d.turn_id::text, d.lane_id, d.kind, d.channel, d.target, d.user_id
    FROM deliveries d
    WHERE d.id = ANY(%s) AND d.turn_id IS NOT NULL AND d.user_id <> '' AND d.kind = ANY(%s) ORDER BY d.turn_id, d.lane_id, d.id
"""


async def tell_missing(conn: Connection, deliveries: list[int]) -> None:
    """Have it told of those that were given up, in the caller's transaction, which holds their lanes; again tells nothing."""
    cursor = await conn.execute(_LOST, (deliveries, [*ENDS, ALERT]))
    found = await cursor.fetchall()
    tongues = await tongues_on(conn, {user_id for *_rest, user_id in found})
    for turn, lane, kind, name, target, user_id in found:
        if (channel := channel_that_is_on(name)) is not None:
            where, origin = channel.answered(target), f"refused:{turn}:{lane}"
            with override(tongues.of(user_id, channel=name, account=channel.account_of(target))):
                words = _(ALERT_MISSING if kind == ALERT else MISSING)
                letter = text_letter(channel, words, target=where, origin=origin, user_id=user_id)
            await put(conn, [letter])


async def expire(conn: Connection) -> list[tuple[str, DeliveryState]]:
    """Give up what is too old; channel and new state of each."""
    async with conn.transaction():
        cursor = await conn.execute(f"SELECT DISTINCT d.lane_id FROM deliveries d WHERE {_TOO_OLD}")
        if not (lanes := {row[0] for row in await cursor.fetchall()}):
            return []
        await lock_lanes(conn, lanes)
        cursor = await conn.execute(_EXPIRE, ([*lanes],))
        expired = await cursor.fetchall()
        await tell_missing(conn, [delivery for delivery, _ in expired])
    return [(channel, DeliveryState.FAILED) for _, channel in expired]
