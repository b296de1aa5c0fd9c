"""Tell the turns of a conversation that wait where they stand, whenever one before them has gone."""

import structlog
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
