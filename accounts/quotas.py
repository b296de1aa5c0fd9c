"""How many messages a user may send: two sliding windows over the times of the last day's messages.

The caller's transaction holds the licence's row (`lock_licence_on`), so that a user's messages are counted one after
another, whatever channel, socket or process they come through. Each message has a number, so that a window's content is a
difference of two numbers, found by index: nothing is counted, however many there are.
"""

from datetime import datetime
from typing import Any, LiteralString

from psycopg.rows import dict_row

from accounts.errors import LimitReached, Window
from accounts.licences import Licence
from accounts.limit_words import messages_reached
from gateway.db import Connection, connection

MINUTE_S, DAY_S = 60, 24 * 3600
# Times that no window needs any more, erased at once.
SWEEP_BATCH = 5000

_READ: LiteralString = """
    WITH moment AS (SELECT clock_timestamp() AS now),
    latest AS (SELECT COALESCE(max(number), 0) AS number FROM accepted_messages WHERE user_id = %(user)s),
    windows AS (
        SELECT w.name, w.seconds, w.quota, latest.number - COALESCE(oldest.number - 1, latest.number) AS used
        FROM unnest(%(names)s::text[], %(seconds)s::int[], %(quotas)s::bigint[]) AS w(name, seconds, quota)
        CROSS JOIN latest CROSS JOIN moment LEFT JOIN LATERAL (
            SELECT m.number FROM accepted_messages m
            WHERE m.user_id = %(user)s AND m.at > moment.now - w.seconds * interval '1 second' ORDER BY m.at LIMIT 1
        ) oldest ON true),
"""
_TAKE: LiteralString = """
    taken AS (
        INSERT INTO accepted_messages (user_id, number, at) SELECT %(user)s, latest.number + 1, moment.now
        FROM latest, moment WHERE NOT EXISTS (SELECT 1 FROM windows WHERE used >= quota) RETURNING 1)
"""
_LOOK: LiteralString = "taken AS (SELECT 1 WHERE false)"
# A window opens again when its oldest message leaves; one that holds more than its limit, once all the excess has left.
_TELL: LiteralString = """
    SELECT w.name, w.seconds, w.quota, w.used + (SELECT count(*) FROM taken) AS used,
        EXISTS (SELECT 1 FROM taken) AS taken, moment.now,
        CASE WHEN w.quota = 0 THEN NULL
            ELSE COALESCE(blocker.at, moment.now) + w.seconds * interval '1 second' END AS resets_at
    FROM windows w CROSS JOIN latest CROSS JOIN moment LEFT JOIN accepted_messages blocker
        ON blocker.user_id = %(user)s AND blocker.number
            = GREATEST(latest.number - w.used + 1, latest.number - COALESCE(w.quota, w.used) + 1)
    ORDER BY w.seconds
"""


async def take_message(conn: Connection, licence: Licence) -> tuple[Window, ...]:
    """Count a message that is being accepted; the windows with it in them.

    Raises LimitReached, and counts nothing, when a window is full. A transaction that fails counts nothing either.
    """
    rows = await _rows(conn, _READ + _TAKE + _TELL, licence)
    windows = tuple(_window(row) for row in rows)
    if not rows[0]["taken"]:
        raise _reached(windows, licence, now=rows[0]["now"])
    return windows


async def message_windows(licence: Licence) -> tuple[Window, ...]:
    """How far the windows are filled now."""
    async with connection() as conn:
        return tuple(_window(row) for row in await _rows(conn, _READ + _LOOK + _TELL, licence))


async def sweep_messages() -> int:
    """Erase times that have left the longest window; how many they were, at most SWEEP_BATCH."""
    async with connection() as conn:
        cursor = await conn.execute(
            "DELETE FROM accepted_messages WHERE (user_id, number) IN (SELECT user_id, number FROM accepted_messages"
            # An hour more than the window: no clock that steps back loses a message that still counts.
            " WHERE at < clock_timestamp() - interval '25 hours' ORDER BY at LIMIT %s FOR UPDATE SKIP LOCKED)",
            (SWEEP_BATCH,),
        )
        return cursor.rowcount


async def _rows(conn: Connection, statement: LiteralString, licence: Licence) -> list[dict[str, Any]]:
    limits = licence.limits
    values = {
        "user": licence.user_id,
        "names": ["minute", "day"],
        "seconds": [MINUTE_S, DAY_S],
        "quotas": [limits.messages_per_minute, limits.messages_per_day],
    }
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement, values)
        return await cursor.fetchall()


def _window(row: dict[str, Any]) -> Window:
    resets_at: datetime | None = row["resets_at"]
    left_s = None if resets_at is None else (resets_at - row["now"]).total_seconds()
    return Window(row["name"], row["seconds"], row["quota"], row["used"], left_s, resets_at)


def _reached(windows: tuple[Window, ...], licence: Licence, *, now: datetime) -> LimitReached:
    full = [window for window in windows if window.full]
    # The one that opens last; one that never does comes before all.
    last = max(full, key=lambda window: float("inf") if window.resets_in_s is None else window.resets_in_s)
    return LimitReached(messages_reached(last, licence, now=now), retry_after_s=last.resets_in_s, windows=windows)
