"""Write what became of an attempt to send: the message's own end, and what follows for its chat and its account."""

from dataclasses import dataclass

from accounts import audit
from accounts.links import unlink_account_on
from agents.schedules.rows import note_delivered
from channels_app.channels import channel_that_is_on, channels
from channels_app.deliveries.intake import ALERT, text_letter
from channels_app.deliveries.rows import Claim, put
from channels_app.models import DeliveryState
from gateway.db import Connection, connection

CLOSED = (
    "Your {label} chat takes no messages from me any more: I was blocked there, or the chat is gone. So I unlinked it. You can "
    "link it again on your account page."
)
# The lane first, then its rows: in this order everywhere, or two transactions would wait for each other.
_SETTLE = """
    WITH lane AS (
        SELECT key FROM chat_lanes WHERE key = (SELECT lane_id FROM deliveries WHERE id = %(id)s) FOR NO KEY UPDATE),
    settled AS (
        UPDATE deliveries SET state = %(state)s, holder = NULL, error = %(error)s,
            receipt = CASE WHEN %(receipt)s = '' THEN receipt ELSE %(receipt)s END,
            run_after = clock_timestamp() + %(wait)s * interval '1 second',
            body = CASE WHEN %(state)s = 'pending' THEN body END,
            settled_at = CASE WHEN %(state)s <> 'pending' THEN clock_timestamp() END
        FROM lane WHERE id = %(id)s AND fence = %(fence)s AND state IN ('pending', 'sending') RETURNING lane_id),
    closed AS (
        UPDATE deliveries r SET state = 'failed', holder = NULL, body = NULL, error = %(error)s, settled_at = clock_timestamp()
        FROM settled WHERE %(closes)s AND r.lane_id = settled.lane_id AND r.state = 'pending' AND r.id <> %(id)s RETURNING 1),
    paused AS (
        UPDATE chat_lanes SET not_before = GREATEST(not_before, clock_timestamp() + %(pause)s * interval '1 second')
        FROM settled WHERE key = settled.lane_id RETURNING 1)
    SELECT (SELECT count(*) FROM settled) + (SELECT count(*) FROM closed)
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt. `wait_s` holds back this message, `pause_s` all that follow in the chat as well.

    `closes`: the chat takes nothing more, so that what waits for it fails with it.
    """

    state: DeliveryState
    receipt: str = ""
    error: str = ""
    wait_s: float = 0
    pause_s: float = 0
    closes: bool = False


async def settle(claim: Claim, outcome: Outcome) -> int:
    """Write what became of the attempt; how many messages that settles, 0 when another process has settled it meanwhile."""
    async with connection() as conn, conn.transaction():
        cursor = await conn.execute(
            _SETTLE,
            {
                "state": outcome.state.value, "receipt": outcome.receipt, "error": outcome.error, "wait": outcome.wait_s,
                "pause": outcome.pause_s, "closes": outcome.closes, "id": claim.id, "fence": claim.fence,
            },
        )  # fmt: skip
        row = await cursor.fetchone()
        settled = 0 if row is None else int(row[0])
        if settled and claim.turn is not None and claim.kind == ALERT and outcome.state == DeliveryState.SENT:
            await note_delivered(conn, claim.turn, receipt=outcome.receipt)
    if settled and outcome.closes and claim.user_id:
        # Apart from the above, which holds this chat's lane: no other may be locked under it.
        await _deactivate(claim)
    return settled


async def _deactivate(claim: Claim) -> None:
    """End the link of an account whose own chat is closed, and say so in the user's other chats."""
    channel = channels().get(claim.channel)
    if channel is None or channel.chat_of(claim.target) != channel.chat_of(channel.target_of(claim.account)):
        return
    async with connection() as conn, conn.transaction():
        if await unlink_account_on(conn, claim.channel, claim.account, actor=audit.GATEWAY):
            await _say_elsewhere(conn, claim, CLOSED.format(label=channel.label))


async def _say_elsewhere(conn: Connection, claim: Claim, words: str) -> None:
    cursor = await conn.execute(
        "SELECT channel_type, channel_user_id FROM user_channel_links WHERE user_id = %s", (claim.user_id,)
    )
    letters = []
    for name, account in await cursor.fetchall():
        if (channel := channel_that_is_on(name)) is not None:
            origin, target = f"closed:{claim.id}:{name}:{account}", channel.target_of(account)
            letters.append(text_letter(channel, words, target=target, origin=origin, user_id=claim.user_id))
    await put(conn, letters)
