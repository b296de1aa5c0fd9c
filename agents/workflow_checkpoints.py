"""Where a workflow stands, in PostgreSQL, by LangGraph's own checkpointer: each write holds the turn's fence.

Its tables are made by a migration of ours (the package's `setup` makes them at run time, which a gateway's role need not be
allowed to), and emptied of a turn once that is over.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg.rows import DictRow, dict_row

from agents.errors import FenceLost
from gateway.db import connection


class FencedSaver(AsyncPostgresSaver):
    """The checkpoints of one claim of a turn: once another worker has taken it over, they can't be read or written here."""

    def __init__(self, turn: str, *, fence: int) -> None:
        # No connection is kept: each use takes one of the process's pool.
        super().__init__(conn=None)  # type: ignore[arg-type]
        self._turn, self._fence = turn, fence

    @asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[psycopg.AsyncCursor[DictRow]]:  # noqa: ARG002 - one transaction in any case
        async with self.lock, connection() as conn, conn.transaction():
            held = await conn.execute(
                "SELECT 1 FROM turns WHERE id = %s AND fence = %s AND state = 'running' FOR SHARE",
                (self._turn, self._fence),
            )
            if await held.fetchone() is None:
                raise FenceLost
            async with conn.cursor(binary=True, row_factory=dict_row) as cursor:
                yield cursor


def thread(turn: str, *, steps: int) -> RunnableConfig:
    """LangGraph's configuration for a turn, its thread, of at most so many `steps`."""
    return RunnableConfig(configurable={"thread_id": turn}, recursion_limit=steps)
