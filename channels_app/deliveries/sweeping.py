"""Settle the deliveries that no worker will settle: of dead workers, too old, or held by a process that has lost them."""

from typing import LiteralString
from uuid import UUID

from channels_app.channels import channel_that_is_on
from channels_app.deliveries.refused import expire
from channels_app.deliveries.rows import OBSTACLE
from channels_app.models import DeliveryState
from gateway.db import Connection, connection, notify
from gateway.leases import holder_alive

# An edit whose worker died is made again: it writes the same text into the same message.
_EDIT_AGAIN = f"""
    UPDATE deliveries d SET state = 'pending', holder = NULL
    WHERE d.state = 'sending' AND NOT {holder_alive("d")}
        AND EXISTS (SELECT 1 FROM deliveries e WHERE d.edits <> '' AND e.origin = d.edits AND e.receipt <> '')
"""
_FIND_AMBIGUOUS = f"""
    UPDATE deliveries d SET state = 'ambiguous', holder = NULL, body = NULL, settled_at = clock_timestamp(),
        error = 'The worker ended while it was sending.'
    WHERE d.state = 'sending' AND NOT {holder_alive("d")} RETURNING d.channel
"""
# What a dead worker was sending, and its platform takes once.
_SENDING = f"""
    SELECT d.id, d.fence, d.channel, d.target FROM deliveries d WHERE d.state = 'sending' AND NOT {holder_alive("d")}
"""
_SEND_AGAIN = f"""
    UPDATE deliveries d SET state = 'pending', holder = NULL,
        repeat_until = COALESCE(d.repeat_until, d.started_at + %s * interval '1 second')
    WHERE d.id = %s AND d.fence = %s AND d.state = 'sending' AND NOT {holder_alive("d")}
"""
_GIVE_UP = f"""
    UPDATE deliveries d SET state = 'ambiguous', holder = NULL, body = NULL, settled_at = clock_timestamp(),
        error = 'It may have been shown. ' || d.error
    WHERE d.state = 'pending' AND d.repeat_until <= clock_timestamp() AND (d.holder IS NULL OR NOT {holder_alive("d")})
    RETURNING d.channel
"""
_REFUSE = f"""
    UPDATE deliveries d SET state = 'failed', holder = NULL, body = NULL, settled_at = clock_timestamp(), error = {OBSTACLE}
    WHERE d.state = 'pending' AND (d.holder IS NULL OR NOT {holder_alive("d")}) AND {OBSTACLE} <> '' RETURNING d.channel
"""
_SWEEPS: tuple[tuple[LiteralString, DeliveryState], ...] = (
    (_FIND_AMBIGUOUS, DeliveryState.AMBIGUOUS),
    (_GIVE_UP, DeliveryState.AMBIGUOUS),
    (_REFUSE, DeliveryState.FAILED),
)
# A holder that never has a lease.
_NOBODY = UUID(int=0)


async def sweep() -> list[tuple[str, DeliveryState]]:
    """Settle what dead workers were sending, and what is too old or not to be said any more; channel and new state of each."""
    settled: list[tuple[str, DeliveryState]] = []
    async with connection() as conn:
        await conn.execute(_EDIT_AGAIN)
        await _send_again(conn)
        for statement, state in _SWEEPS:
            cursor = await conn.execute(statement)
            settled.extend((channel, state) for (channel,) in await cursor.fetchall())
        # Last, so that of what may not be said any more nothing is told.
        settled.extend(await expire(conn))
    return settled


async def _send_again(conn: Connection) -> None:
    cursor = await conn.execute(_SENDING)
    for delivery, fence, name, target in await cursor.fetchall():
        channel = channel_that_is_on(name)
        if channel is not None and (repeats_s := channel.repeats_s(target)):
            await conn.execute(_SEND_AGAIN, (repeats_s, delivery, fence))


async def tidy() -> None:
    """Remove what is of no use any more: old buttons, wishes of unlinked accounts, threads without a conversation, lanes and
    strangers that rested for a day."""
    async with connection() as conn:
        # Nothing is waited for longer than a day.
        await conn.execute("DELETE FROM chat_buttons WHERE created_at < clock_timestamp() - interval '2 days'")
        await conn.execute("DELETE FROM unlinked_senders WHERE hinted_at < clock_timestamp() - interval '1 day'")
        # As long as any platform sends a message again. One that still waits is given up by its own worker, with a word.
        await conn.execute(
            "DELETE FROM chat_inbox WHERE message IS NULL AND created_at < clock_timestamp() - interval '2 days'"
        )
        await conn.execute(
            "DELETE FROM draft_wishes w WHERE NOT EXISTS (SELECT 1 FROM user_channel_links k"
            " WHERE k.channel_type = w.channel AND k.channel_user_id = w.account)"
        )
        await conn.execute(
            "DELETE FROM chat_threads t WHERE NOT EXISTS (SELECT 1 FROM conversations c WHERE c.id = t.conversation_id)"
        )
        await conn.execute(
            "DELETE FROM chat_lanes l WHERE l.not_before < clock_timestamp() - interval '1 day' AND NOT EXISTS ("
            " SELECT 1 FROM deliveries d WHERE d.lane_id = l.key AND d.state IN ('pending', 'sending'))"
        )


async def held_by(holder: UUID) -> dict[int, int]:
    """The fences of the open deliveries that `holder` holds."""
    async with connection() as conn:
        cursor = await conn.execute(
            "SELECT id, fence FROM deliveries WHERE state IN ('pending', 'sending') AND holder = %s", (holder,)
        )
        return {row[0]: row[1] for row in await cursor.fetchall()}


async def disown(delivery: int, *, fence: int) -> None:
    """Give up a delivery that no send of this process works on, as if its worker had died."""
    async with connection() as conn:
        await conn.execute(
            "UPDATE deliveries SET holder = %s WHERE id = %s AND fence = %s AND state IN ('pending', 'sending')",
            (_NOBODY, delivery, fence),
        )
        await notify(conn, "deliveries")
