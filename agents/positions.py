"""Tell the turns of a conversation that wait where they stand, whenever one before them has gone."""

from dataclasses import dataclass

import structlog
from psycopg.rows import class_row
from redis.exceptions import RedisError

from agents.errors import FenceLost, JournalLost
from agents.events import Queued
from agents.hints import hint_turn
from agents.journal import journal
from agents.writer import encode
from gateway.db import connection

log = structlog.get_logger(__name__)

# Only who was never claimed: a turn that is tried again has more to show than its place. Each place is told once.
_MOVED = """
    WITH line AS (
        SELECT id, row_number() OVER (ORDER BY accepted_at, id) - 1 AS position FROM turns
        WHERE conversation_id = %(conversation)s AND state IN ('queued', 'running') AND joined_to IS NULL)
    UPDATE turns t SET told_position = line.position FROM line
    WHERE t.id = line.id AND t.state = 'queued' AND t.fence = 0 AND line.position BETWEEN 1 AND t.told_position - 1
    RETURNING t.id::text, t.user_id, line.position
"""


# More than a person keeps in sight; 20 wait in a conversation at the most.
MOST_LISTED = 200


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """A turn that has not ended; `position` counts those of its conversation that come first, `joined_to` is the turn in
    whose answer it is taken up."""

    turn: str
    conversation: str
    channel: str
    state: str
    content: str
    position: int
    joined_to: str | None


async def open_line(user_id: str) -> list[OpenTurn]:
    """The user's turns that have not ended, the oldest first."""
    async with connection() as conn, conn.cursor(row_factory=class_row(OpenTurn)) as cursor:
        await cursor.execute(
            "SELECT id::text AS turn, conversation_id::text AS conversation, channel, state, content,"
            " CASE WHEN state IN ('queued', 'running') AND joined_to IS NULL THEN"
            " count(*) FILTER (WHERE state IN ('queued', 'running') AND joined_to IS NULL)"
            " OVER (PARTITION BY conversation_id ORDER BY accepted_at, id) - 1 ELSE 0 END AS position,"
            " joined_to::text FROM turns"
            " WHERE user_id = %s AND state NOT IN ('done', 'failed', 'cancelled') ORDER BY accepted_at, id LIMIT %s",
            (user_id, MOST_LISTED),
        )
        return await cursor.fetchall()


async def tell_positions(conversation: str) -> None:
    """Tell each turn that has moved up; one that a worker takes in this moment tells of itself."""
    async with connection() as conn:
        cursor = await conn.execute(_MOVED, {"conversation": conversation})
        moved = await cursor.fetchall()
    book = journal()
    for turn, user_id, position in moved:
        try:
            text = encode(Queued(position=position), turn, conversation)
            number = await book.append(turn, [text], fence=0)
        except (FenceLost, JournalLost):
            continue
        except (RedisError, OSError) as error:
            log.warning("journal_unreachable", error=type(error).__name__)
            return
        await hint_turn(user_id, turn=turn, seq=number - 1)
