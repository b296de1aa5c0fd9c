"""The queue of what leaves for the chat apps: rows, of which each chat has one on its way at a time.

A claim locks the chat's *lane* (SKIP LOCKED), then takes the lane's oldest open row (of an answer that grows, when no other is
due) in a statement of its own, so that what it checks is what is true after the lock. Each claim raises the row's fence; every
later write names it. A row is `sending` from before the first byte until it is settled: whoever finds one whose holder is dead
can't know whether it arrived.
"""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from agents.outbox import OutboxRow
from channels_app.channels import Part, Target
from gateway.db import Connection, connection, notify
from gateway.leases import holder_alive

MAX_AGE_HOURS = 24

# Why a row of deliveries `d` must not be sent any more; '' = it may be.
OBSTACLE: LiteralString = """
    CASE WHEN d.turn_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM turns t WHERE t.id = d.turn_id)
        THEN 'The conversation was deleted.'
    WHEN d.user_id <> '' AND NOT EXISTS (
        SELECT 1 FROM user_channel_links k
        WHERE k.user_id = d.user_id AND k.channel_type = d.channel AND k.channel_user_id = d.account)
        THEN 'The account is no longer linked.'
    ELSE '' END
"""
# A channel that rests as a whole is a lane of its own, which is no chat's and not that of its slots.
_CHANNEL_MAY: LiteralString = """
    NOT EXISTS (SELECT 1 FROM chat_lanes w WHERE w.key = d.channel || ':*' AND w.not_before > clock_timestamp())
"""
# What may have been shown is sent again only while its platform takes it once.
_REPEATABLE: LiteralString = "(d.repeat_until IS NULL OR d.repeat_until > clock_timestamp())"
# An answer that grows in a message of its own, row `x`: its edits have no place among the lane's messages, so they go when no
# other message is due (see _CLAIM_HEAD). Its end is a message like any other.
_GROWS: LiteralString = "({x}.kind = 'preview' AND {x}.receipt <> '')"
_OURS_GROWS, _OTHER_GROWS = _GROWS.replace("{x}", "d"), _GROWS.replace("{x}", "e")
# What is urgent (a refusal, what /stop and /status answer) comes before all that has not begun; else what was written first.
_COMES_BEFORE: LiteralString = "(NOT e.urgent, e.id) < (NOT d.urgent, d.id)"
_HEAD = f"""
    d.state = 'pending' AND d.run_after <= clock_timestamp() AND {_REPEATABLE}
    AND (d.holder IS NULL OR NOT {holder_alive("d")})
    AND l.not_before <= clock_timestamp() AND {_CHANNEL_MAY}
    AND NOT EXISTS (
        SELECT 1 FROM deliveries e
        WHERE e.lane_id = d.lane_id AND e.state IN ('pending', 'sending') AND e.id <> d.id AND (
            e.state = 'sending' OR (e.holder IS NOT NULL AND {holder_alive("e")})
            OR (({_COMES_BEFORE}) AND NOT {_OTHER_GROWS} AND NOT {_OURS_GROWS})))
"""
_LOCK_LANE = f"""
    SELECT l.key FROM deliveries d JOIN chat_lanes l ON l.key = d.lane_id
    WHERE (d.kind = 'preview') = %s AND d.channel <> ALL(%s) AND {_HEAD} ORDER BY d.id LIMIT 1 FOR NO KEY UPDATE OF l SKIP LOCKED
"""
# Of answers that grow in one lane, the one that was due first.
_CLAIM_HEAD = f"""
    UPDATE deliveries d SET holder = %(holder)s, fence = d.fence + 1, attempts = d.attempts + 1
    WHERE d.id = (
        SELECT d.id FROM deliveries d JOIN chat_lanes l ON l.key = d.lane_id
        WHERE d.lane_id = %(lane)s AND {_HEAD}
        ORDER BY {_OURS_GROWS}, CASE WHEN {_OURS_GROWS} THEN d.run_after END, d.id LIMIT 1)
    RETURNING d.id, d.turn_id::text AS turn, d.user_id, d.account, d.kind, d.channel, d.target, d.body, d.fence, d.attempts,
        d.created_at,
        {OBSTACLE} AS obstacle, COALESCE((
            SELECT e.receipt FROM deliveries e WHERE d.edits <> '' AND e.origin = d.edits ORDER BY e.part DESC LIMIT 1
        ), '') AS edits_message,
        EXISTS (SELECT 1 FROM turns o WHERE o.user_id = d.user_id AND o.channel = d.channel AND o.id IS DISTINCT FROM d.turn_id
            AND (o.state NOT IN ('done', 'failed', 'cancelled')
                OR o.accepted_at > (SELECT t.accepted_at FROM turns t WHERE t.id = d.turn_id))) AS crowded
"""
# The lease behind a claim of a row of deliveries `d` has not run out.
_OURS: LiteralString = holder_alive("d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is to be said in a chat, already in messages. `origin` names what it tells of, which is told once.

    With a `user_id` it is said only as long as `account` is linked to that user. `edits` is the origin of an earlier letter,
    whose last message its first one replaces. `only_in_place`: where nothing stands to be replaced, nothing is said.
    An `urgent` one is said before what waits in its chat.
    """

    origin: str
    channel: str
    chat: str
    target: Target
    kind: str
    parts: list[Part]
    account: str
    user_id: str = ""
    turn: str | None = None
    edits: str = ""
    only_in_place: bool = False
    urgent: bool = False

    @property
    def lane(self) -> str:
        """The key of the chat among all channels."""
        return f"{self.channel}:{self.chat}"


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that this process may send, as long as no higher fence exists and there is no `obstacle`.

    `crowded`: its user has asked something else in that channel since, or waits for another answer there.
    """

    id: int
    turn: str | None
    user_id: str
    account: str
    kind: str
    channel: str
    target: Target
    body: Part
    fence: int
    attempts: int
    created_at: datetime
    obstacle: str
    edits_message: str
    crowded: bool = False


async def put(conn: Connection, letters: list[Letter]) -> None:
    """Write the intents in the caller's transaction; what was told before is passed over."""
    await lock_lanes(conn, {letter.lane for letter in letters})
    for letter in letters:
        for part, body in enumerate(letter.parts):
            await conn.execute(
                "INSERT INTO deliveries (origin, part, turn_id, user_id, account, channel, lane_id, target, kind, body, digest,"
                " edits, urgent) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
                " ON CONFLICT (origin, part) DO NOTHING",
                (
                    letter.origin, part, letter.turn, letter.user_id, letter.account, letter.channel, letter.lane,
                    Jsonb(letter.target), letter.kind, Jsonb(body), digest_of(body),
                    letter.edits if part == 0 else "", letter.urgent,
                ),
            )  # fmt: skip
    await notify(conn, "deliveries")


async def put_unusable(conn: Connection, row: OutboxRow, *, error: str) -> None:
    """Note what can't become a message as failed, so that staff see it."""
    await conn.execute(
        "INSERT INTO deliveries"
        " (origin, part, turn_id, user_id, channel, lane_id, target, kind, digest, error, state, settled_at)"
        " VALUES (%s, 0, %s, %s, %s, %s, %s, %s, %s, %s, 'failed', clock_timestamp()) ON CONFLICT (origin, part) DO NOTHING",
        (
            origin_of(row), row.turn, row.user_id, row.channel, f"{row.channel}:?", Jsonb(row.reply_to), row.kind,
            digest_of(row.payload), error,
        ),
    )  # fmt: skip


def origin_of(row: OutboxRow) -> str:
    """What the deliveries of an outbox row tell of."""
    return f"outbox:{row.id}"


async def lock_lanes(conn: Connection, lanes: set[str]) -> None:
    """Hold the lanes until the transaction ends, so that no message comes between two parts of another."""
    # In one order everywhere, so that no two transactions wait for each other. What is touched now, `tidy` leaves alone.
    for lane in sorted(lanes):
        await conn.execute(
            "INSERT INTO chat_lanes AS l (key) VALUES (%s)"
            " ON CONFLICT (key) DO UPDATE SET not_before = GREATEST(l.not_before, clock_timestamp())",
            (lane,),
        )


async def is_resting(*lanes: str) -> bool:
    """Whether any of the lanes rests just now."""
    async with connection() as conn:
        cursor = await conn.execute(
            "SELECT 1 FROM chat_lanes WHERE key = ANY(%s) AND not_before > clock_timestamp() LIMIT 1", (list(lanes),)
        )
        return await cursor.fetchone() is not None


async def rest(lane: str, *, seconds: float) -> None:
    """Show nothing in a chat for so long; a longer rest stays."""
    async with connection() as conn:
        await rest_on(conn, lane, seconds=seconds)


async def rest_on(conn: Connection, lane: str, *, seconds: float) -> None:
    """The same in the caller's transaction."""
    await conn.execute(
        "INSERT INTO chat_lanes AS l (key, not_before) VALUES (%(key)s, clock_timestamp() + %(rest)s * interval '1 second')"
        " ON CONFLICT (key) DO UPDATE SET not_before = GREATEST(l.not_before, excluded.not_before)",
        {"key": lane, "rest": seconds},
    )


def everywhere(channel: str) -> str:
    """The lane of all of a channel's chats."""
    return f"{channel}:*"


async def claim_next(holder: UUID, *, passed: Collection[str] = ()) -> Claim | None:
    """Take the oldest message that may be sent, previews last, or None; of other channels than those that are `passed`.

    Raises psycopg.Error when the database fails.
    """
    others = [*passed]
    async with connection() as conn, conn.transaction():
        # Where a bot may send no faster, whole answers come before parts of others.
        row = await (await conn.execute(_LOCK_LANE, (False, others))).fetchone()
        row = row or await (await conn.execute(_LOCK_LANE, (True, others))).fetchone()
        if row is None:
            return None
        async with conn.cursor(row_factory=class_row(Claim)) as cursor:
            await cursor.execute(_CLAIM_HEAD, {"holder": holder, "lane": row[0]})
            return await cursor.fetchone()


async def take_slot(channel: str, *, every_s: float) -> float:
    """In how many seconds a channel's next message may leave, whatever its chat; slots are `every_s` apart for all processes.

    The slot is the caller's. Raises psycopg.Error.
    """
    async with connection() as conn:
        cursor = await conn.execute(
            "INSERT INTO chat_lanes AS l (key, not_before) VALUES (%(key)s, clock_timestamp() + %(every)s * interval '1 second')"
            " ON CONFLICT (key) DO UPDATE SET"
            " not_before = GREATEST(l.not_before, clock_timestamp()) + %(every)s * interval '1 second'"
            " RETURNING extract(epoch FROM not_before - clock_timestamp())::float8 - %(every)s",
            {"key": channel, "every": every_s},
        )
        row = await cursor.fetchone()
    return max(0.0, float(row[0])) if row else 0.0


async def begin_sending(claim: Claim, *, holder: UUID) -> bool:
    """Note that the next byte may reach the platform; False when its chat rests by now, or the claim is no longer ours.

    Again is no error, for a commit whose answer was lost.
    """
    async with connection() as conn:
        cursor = await conn.execute(
            "UPDATE deliveries d SET state = 'sending', started_at = clock_timestamp() FROM chat_lanes l"
            " WHERE d.id = %s AND d.fence = %s AND d.holder = %s AND d.state IN ('pending', 'sending')"
            f" AND l.key = d.lane_id AND {_OURS}"
            f" AND (d.state = 'sending' OR (l.not_before <= clock_timestamp() AND {_CHANNEL_MAY} AND {_REPEATABLE}))",
            (claim.id, claim.fence, holder),
        )
    return cursor.rowcount == 1


async def begin_anew(claim: Claim) -> bool:
    """Note that a message which could not be edited is sent as a new one; False when the claim is no longer ours.

    Whoever finds it unsettled must not edit again, and send it a second time.
    """
    async with connection() as conn:
        cursor = await conn.execute(
            f"UPDATE deliveries d SET edits = '' WHERE d.id = %s AND d.fence = %s AND d.state = 'sending' AND {_OURS}",
            (claim.id, claim.fence),
        )
    return cursor.rowcount == 1


async def let_go(claim: Claim) -> bool:
    """Leave a message that was not begun to whoever comes after its chat's rest; False when the claim is no longer ours."""
    async with connection() as conn:
        cursor = await conn.execute(
            "UPDATE deliveries SET holder = NULL, attempts = attempts - 1 WHERE id = %s AND fence = %s AND state = 'pending'",
            (claim.id, claim.fence),
        )
    return cursor.rowcount == 1


def digest_of(body: dict[str, Any]) -> str:
    """SHA-256 (hex) of a message, for audit."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
