"""Write what became of an attempt to send: the message's own end, and what follows for its chat and its account."""

from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, override

from accounts import audit
from accounts.languages import tongues_on
from accounts.links import unlink_account_on
from agents.schedules.rows import note_delivered
from channels_app.channels import channel_that_is_on, channels
from channels_app.deliveries.detours import ALERT
from channels_app.deliveries.intake import text_letter
from channels_app.deliveries.refused import tell_missing
from channels_app.deliveries.rows import Claim, Letter, everywhere, lock_lanes, put, rest_on
from channels_app.models import DeliveryState
from gateway.db import Connection, connection

CLOSED = gettext_noop(
    "Your {label} chat takes no messages from me any more: I was blocked there, or the chat is gone. So I unlinked it. What "
    "you miss there stands on the web page. You can link it again on your account page."
)
# The lane first, then its rows: in this order everywhere, or two transactions would wait for each other.
_SETTLE = """
    WITH lane AS (
        SELECT key FROM chat_lanes WHERE key = (SELECT lane_id FROM deliveries WHERE id = %(id)s) FOR NO KEY UPDATE),
    settled AS (
        UPDATE deliveries SET state = %(state)s, holder = NULL, error = %(error)s,
            receipt = CASE WHEN %(receipt)s = '' THEN receipt ELSE %(receipt)s END,
            run_after = clock_timestamp() + %(wait)s * interval '1 second',
            repeat_until = CASE WHEN %(state)s = 'sent' THEN NULL WHEN %(repeats)s > 0 AND repeat_until IS NULL
                THEN started_at + %(repeats)s * interval '1 second' ELSE repeat_until END,
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

    With `everywhere` it holds back those of the whole channel. `closes`: the chat takes nothing more, so that what waits for
    it fails with it. With `repeats_s` it may have been shown, and may be sent again as long as that since the first try.
    """

    state: DeliveryState
    receipt: str = ""
    error: str = ""
    wait_s: float = 0
    pause_s: float = 0
    closes: bool = False
    everywhere: bool = False
    repeats_s: float = 0


async def settle(claim: Claim, outcome: Outcome) -> int:
    """Write what became of the attempt; how many messages that settles, 0 when another process has settled it meanwhile."""
    async with connection() as conn, conn.transaction():
        if outcome.everywhere:
            # Whoever's the message is by now. That lane is always the first to be held.
            await rest_on(conn, everywhere(claim.channel), seconds=outcome.pause_s)
        farewells = await _hold_account(conn, claim) if outcome.closes else None
        cursor = await conn.execute(
            _SETTLE,
            {
                "state": outcome.state.value, "receipt": outcome.receipt, "error": outcome.error, "wait": outcome.wait_s,
                "pause": outcome.pause_s, "repeats": outcome.repeats_s, "closes": outcome.closes, "id": claim.id,
                "fence": claim.fence,
            },
        )  # fmt: skip
        row = await cursor.fetchone()
        settled = 0 if row is None else int(row[0])
        if settled and claim.turn is not None and claim.kind == ALERT and outcome.state == DeliveryState.SENT:
            await note_delivered(conn, claim.turn, receipt=outcome.receipt)
        if settled and outcome.state == DeliveryState.FAILED and not claim.obstacle and not outcome.closes:
            await tell_missing(conn, [claim.id])
        if settled and farewells is not None:
            await _end_link(conn, claim, farewells)
    return settled


async def _end_link(conn: Connection, claim: Claim, farewells: list[Letter]) -> None:
    """An account's own chat is closed: its link ends, and the user's other chats are told."""
    if await unlink_account_on(conn, claim.channel, claim.account, actor=audit.GATEWAY):
        await put(conn, farewells)


async def _hold_account(conn: Connection, claim: Claim) -> list[Letter] | None:
    """What its user's other chats are told once an account's own chat is closed; None where that ends no link.

    The link is held, and after it all the lanes that will be written to: in this order everywhere.
    """
    channel = channels().get(claim.channel)
    own = channel is not None and channel.chat_of(claim.target) == channel.chat_of(channel.target_of(claim.account))
    if channel is None or not own or not claim.user_id:
        return None
    account = (claim.channel, claim.account)
    await conn.execute(
        "SELECT 1 FROM user_channel_links WHERE channel_type = %s AND channel_user_id = %s FOR UPDATE", account
    )
    letters = await _farewells(conn, claim, label=channel.label)
    lane = f"{channel.name}:{channel.chat_of(claim.target)}"
    await lock_lanes(conn, {lane, *(letter.lane for letter in letters)})
    return letters


async def _farewells(conn: Connection, claim: Claim, *, label: str) -> list[Letter]:
    cursor = await conn.execute(
        "SELECT channel_type, channel_user_id FROM user_channel_links WHERE user_id = %s"
        " AND (channel_type, channel_user_id) <> (%s, %s)",
        (claim.user_id, claim.channel, claim.account),
    )
    others = await cursor.fetchall()
    letters, tongues = [], await tongues_on(conn, [claim.user_id])
    for name, account in others:
        if (channel := channel_that_is_on(name)) is not None:
            origin, target = f"closed:{claim.id}:{name}:{account}", channel.target_of(account)
            with override(tongues.of(claim.user_id, channel=name, account=account)):
                words = _(CLOSED).format(label=label)
            letters.append(text_letter(channel, words, target=target, origin=origin, user_id=claim.user_id))
    return letters
