"""The first events of a turn, written by the process that accepts it."""

from collections.abc import Sequence

import structlog
from redis.exceptions import RedisError

from agents.errors import FenceLost, JournalLost
from agents.events import Event
from agents.hints import hint_turn
from agents.journal import journal
from agents.queue import disown
from agents.writer import encode

log = structlog.get_logger(__name__)


async def begin_journal(turn: str, conversation: str, *, user_id: str, events: Sequence[Event]) -> None:
    """Write the first events; where that fails, or a worker was quicker, the worker writes them."""
    book = journal()
    try:
        await book.open(turn, fence=0, floor=1)
        await book.append(turn, [encode(event, turn, conversation) for event in events], fence=0)
        if events[-1].final:
            await book.finish(turn)
    except (FenceLost, JournalLost):
        log.info("journal_begun_by_worker", turn=turn)
    except (RedisError, OSError) as error:
        log.warning("journal_unreachable", error=type(error).__name__)
        if events[-1].final:
            await disown(turn, fence=0)
    await hint_turn(user_id, turn=turn, seq=len(events))
