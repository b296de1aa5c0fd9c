"""The row of an answer that is still being written: one message, sent once and then edited; the answer takes its place.

What is asked under it (an approval, a question) parts an answer: what is written after that begins a message of its own, which
is marked `below`.
"""

from dataclasses import replace
from typing import Any, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from agents.outbox import SAID
from channels_app.deliveries.rows import Letter, digest_of, lock_lanes
from gateway.db import Connection, connection, notify

PREVIEW = "preview"
# How a turn ends in its chat, or the part of it before it waits for its user.
ENDS = frozenset({"done", "failed", "cancelled", SAID})
_ORIGIN: LiteralString = """
    'preview:' || %(turn)s || ':' || (SELECT count(DISTINCT a.origin) FROM deliveries a
        WHERE a.turn_id = %(turn)s::uuid AND a.lane_id = %(lane)s AND a.kind IN ('said', 'approval', 'question'))
"""
# One that is on its way is left alone: its next text comes with the next look. So is one that may have been shown, until it is
# known. One that was refused is not tried again. Each text has its own attempts.
_SHOW = f"""
    INSERT INTO deliveries AS d
        (origin, part, turn_id, user_id, account, channel, lane_id, target, kind, body, digest, edits, shown_chars)
    SELECT o.origin, 0, %(turn)s::uuid, %(user)s, %(account)s, %(channel)s, %(lane)s, %(target)s, 'preview',
        CASE WHEN o.origin LIKE '%%:0' THEN %(body)s ELSE %(body)s || '{{"below": true}}' END, %(digest)s, o.origin,
        %(chars)s
    FROM (SELECT {_ORIGIN} AS origin) o
    WHERE EXISTS (SELECT 1 FROM turns t WHERE t.id = %(turn)s::uuid AND t.state = 'running' AND t.holder = %(holder)s)
    ON CONFLICT (origin, part) DO UPDATE SET body = excluded.body, digest = excluded.digest, state = 'pending',
        shown_chars = excluded.shown_chars,
        run_after = CASE WHEN d.state = 'pending' THEN d.run_after ELSE clock_timestamp() END, settled_at = NULL,
        attempts = CASE WHEN d.state = 'pending' THEN d.attempts ELSE 0 END
    WHERE d.shown_chars <= excluded.shown_chars AND ((d.state IN ('sent', 'ambiguous') AND d.receipt <> '')
        OR (d.state = 'pending' AND d.holder IS NULL AND d.repeat_until IS NULL))
"""


async def show(letter: Letter, *, holder: UUID, chars: int) -> bool:
    """Have the beginning of a running turn's answer, of so many characters, shown in place of what is; False when it can't be
    just now, or more is shown: whoever takes a turn over begins anew, and nobody's text shrinks before it has caught up."""
    body = letter.parts[0]
    values: dict[str, Any] = {
        "turn": letter.turn, "user": letter.user_id, "account": letter.account, "channel": letter.channel,
        "lane": letter.lane, "target": Jsonb(letter.target), "body": Jsonb(body), "digest": digest_of(body),
        "holder": holder, "chars": chars,
    }  # fmt: skip
    async with connection() as conn, conn.transaction():
        await lock_lanes(conn, {letter.lane})
        cursor = await conn.execute(_SHOW, values)
        await notify(conn, "deliveries")
    return cursor.rowcount == 1


async def in_place_of_preview(conn: Connection, letter: Letter) -> Letter:
    """The end of a turn, or of its part before a wait, takes the place of what was shown of it."""
    if letter.kind not in ENDS or letter.turn is None:
        return letter
    cursor = await conn.execute(f"SELECT {_ORIGIN}", {"turn": letter.turn, "lane": letter.lane})
    row = await cursor.fetchone()
    if row is None:
        return letter
    if letter.only_in_place and not await _stands(conn, row[0]):
        return replace(letter, parts=[])
    below = not row[0].endswith(":0")
    parts = [part | {"below": True} if below and not index else part for index, part in enumerate(letter.parts)]
    return replace(letter, edits=row[0], parts=parts)


async def _stands(conn: Connection, origin: str) -> bool:
    """Whether a preview is in its chat, or on its way there."""
    cursor = await conn.execute(
        "SELECT 1 FROM deliveries WHERE origin = %s"
        " AND (receipt <> '' OR state = 'sending' OR (state = 'pending' AND repeat_until IS NOT NULL))",
        (origin,),
    )
    return await cursor.fetchone() is not None


async def end_previews(conn: Connection, letters: list[Letter]) -> None:
    """Drop what is still to be shown of turns whose words are told now; the caller holds the lanes of their letters.

    Not what may stand in a chat already: the answer needs its receipt, to take its place.
    """
    for turn in [letter.turn for letter in letters if letter.kind in ENDS and letter.turn is not None]:
        waiting = (turn,)
        await conn.execute(
            "DELETE FROM deliveries WHERE turn_id = %s AND kind = 'preview' AND state = 'pending' AND receipt = ''"
            " AND repeat_until IS NULL",
            waiting,
        )
        await conn.execute(
            "UPDATE deliveries SET state = 'sent', holder = NULL, body = NULL, settled_at = clock_timestamp()"
            " WHERE turn_id = %s AND kind = 'preview' AND state = 'pending' AND receipt <> ''",
            waiting,
        )
