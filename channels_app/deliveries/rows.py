"""The queue of what leaves for the chat apps: rows, of which each chat has one on its way at a time.

A claim locks the chat's *lane* (SKIP LOCKED), then takes the lane's oldest open row in a statement of its own, so that what
it checks is what is true after the lock. Each claim raises the row's fence; every later write names it. A row is `sending`
from before the first byte until it is settled: whoever finds one whose holder is dead can't know whether it arrived.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from channels_app.channels import Part, Target
from channels_app.models import DeliveryState
from gateway.db import Connection, connection, notify
from gateway.leases import holder_alive

MAX_AGE_HOURS = 24

_HEAD = f"""
    d.state = 'pending' AND d.run_after <= clock_timestamp()
    AND (d.holder IS NULL OR NOT {holder_alive("d")})
    AND l.not_before <= clock_timestamp()
    AND NOT EXISTS (
        SELECT 1 FROM deliveries e
        WHERE e.lane_id = d.lane_id AND e.state IN ('pending', 'sending') AND e.id < d.id)
"""
_LOCK_LANE = f"""
    SELECT l.key FROM deliveries d JOIN chat_lanes l ON l.key = d.lane_id
    WHERE {_HEAD} ORDER BY d.id LIMIT 1 FOR NO KEY UPDATE OF l SKIP LOCKED
"""
_CLAIM_HEAD = f"""
    UPDATE deliveries d SET holder = %(holder)s, fence = d.fence + 1, attempts = d.attempts + 1
    FROM chat_lanes l
    WHERE l.key = d.lane_id AND d.lane_id = %(lane)s AND {_HEAD}
    RETURNING d.id, d.turn_id::text AS turn, d.channel, d.target, d.body, d.fence, d.attempts, d.created_at
"""
_SETTLE = """
    WITH settled AS (
        UPDATE deliveries SET state = %(state)s, holder = NULL, receipt = %(receipt)s, error = %(error)s,
            run_after = clock_timestamp() + %(wait)s * interval '1 second',
            body = CASE WHEN %(state)s = 'pending' THEN body END,
            settled_at = CASE WHEN %(state)s <> 'pending' THEN clock_timestamp() END
        WHERE id = %(id)s AND fence = %(fence)s AND state IN ('pending', 'sending') RETURNING lane_id),
    paused AS (
        UPDATE chat_lanes SET not_before = GREATEST(not_before, clock_timestamp() + %(pause)s * interval '1 second')
        FROM settled WHERE key = settled.lane_id RETURNING 1)
    SELECT count(*) FROM settled
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is to be said in a chat, already in messages. `origin` names what it tells of, which is told once."""

    origin: str
    channel: str
    chat: str
    target: Target
    kind: str
    parts: list[Part]
    user_id: str = ""
    turn: str | None = None

    @property
    def lane(self) -> str:
        """The key of the chat among all channels."""
        return f"{self.channel}:{self.chat}"


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that this process may send, as long as no higher fence exists."""

    id: int
    turn: str | None
    channel: str
    target: Target
    body: Part
    fence: int
    attempts: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt. `wait_s` holds back this message, `pause_s` all that follow in the chat as well."""

    state: DeliveryState
    receipt: str = ""
    error: str = ""
    wait_s: float = 0
    pause_s: float = 0


async def put(conn: Connection, letters: list[Letter]) -> None:
    """Write the intents in the caller's transaction; what was told before is passed over."""
    # In one order everywhere, so that no two transactions wait for each other.
    for lane in sorted({letter.lane for letter in letters}):
        await conn.execute("INSERT INTO chat_lanes (key) VALUES (%s) ON CONFLICT DO NOTHING", (lane,))
    for letter in letters:
        for part, body in enumerate(letter.parts):
            await conn.execute(
                "INSERT INTO deliveries (origin, part, turn_id, user_id, channel, lane_id, target, kind, body, digest)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (origin, part) DO NOTHING",
                (
                    letter.origin, part, letter.turn, letter.user_id, letter.channel, letter.lane, Jsonb(letter.target),
                    letter.kind, Jsonb(body), _digest(body),
                ),
            )  # fmt: skip
    await notify(conn, "deliveries")


async def claim_next(holder: UUID) -> Claim | None:
    """Take the oldest message that may be sent, or None. Raises psycopg.Error when the database fails."""
    async with connection() as conn, conn.transaction():
        row = await (await conn.execute(_LOCK_LANE)).fetchone()
        if row is None:
            return None
        async with conn.cursor(row_factory=class_row(Claim)) as cursor:
            await cursor.execute(_CLAIM_HEAD, {"holder": holder, "lane": row[0]})
            return await cursor.fetchone()


async def begin_sending(claim: Claim, *, holder: UUID) -> bool:
    """Note that the next byte may reach the platform; False when the claim, or the lease behind it, is no longer ours.

    Again is no error, for a commit whose answer was lost.
    """
    alive: LiteralString = holder_alive("d")
    async with connection() as conn:
        cursor = await conn.execute(
            "UPDATE deliveries d SET state = 'sending', started_at = clock_timestamp()"
            f" WHERE id = %s AND fence = %s AND holder = %s AND state IN ('pending', 'sending') AND {alive}",
            (claim.id, claim.fence, holder),
        )
    return cursor.rowcount == 1


async def settle(claim: Claim, outcome: Outcome) -> bool:
    """Write what became of the attempt; False when another process has settled the row meanwhile."""
    async with connection() as conn:
        cursor = await conn.execute(
            _SETTLE,
            {
                "state": outcome.state.value, "receipt": outcome.receipt, "error": outcome.error, "wait": outcome.wait_s,
                "pause": outcome.pause_s, "id": claim.id, "fence": claim.fence,
            },
        )  # fmt: skip
        row = await cursor.fetchone()
    return row is not None and row[0] == 1


def _digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
