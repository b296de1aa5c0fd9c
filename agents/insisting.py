"""Go on with what must be written when the database is away for a while."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psycopg
import structlog

T = TypeVar("T")

DATABASE_RETRY_S = 1.0

log = structlog.get_logger(__name__)


async def insist(step: Callable[[], Awaitable[T]], *, unless: Callable[[], bool] = lambda: False) -> T:
    """Do `step`, again and again while the database is away; `unless` says when to give up. The step must be repeatable.

    Raises what else it raises, and psycopg.OperationalError once given up.
    """
    while True:
        try:
            return await step()
        except psycopg.OperationalError as error:
            if unless():
                raise
            log.warning("database_away", error=type(error).__name__)
            await asyncio.sleep(DATABASE_RETRY_S)
