"""How long workspaces ran, added to their users' usage: once a minute by the process that owns them, the rest at their end.

The row says up to when its time was counted, so that no second is counted twice, whoever owns the workspace.
"""

from collections.abc import Mapping
from typing import LiteralString
from uuid import UUID

from accounts.usage import add_workspace_time
from gateway import db
from provisioning import backends, rows

COUNT_EVERY_S = 60.0
# Of a workspace that nobody counted for longer, nobody knows whether it ran.
MOST_S = 120

_COUNT: LiteralString = """
    WITH seen AS (
        SELECT name, GREATEST(counted_at, since) AS counted_to, clock_timestamp() AS now FROM workspaces w
        WHERE w.state = 'ready' AND {condition} FOR NO KEY UPDATE),
    due AS (SELECT *, floor(extract(epoch FROM now - counted_to))::int AS ran_s FROM seen)
    UPDATE workspaces w SET counted_at = CASE WHEN due.ran_s > %(most)s THEN due.now
        ELSE due.counted_to + due.ran_s * interval '1 second' END
    FROM due WHERE w.name = due.name AND due.ran_s > 0 RETURNING w.user_id,
        CASE WHEN w.name = ANY(%(down)s) THEN 0 ELSE LEAST(due.ran_s, %(most)s) END
"""
_OWNED: LiteralString = _COUNT.replace("{condition}", "w.holder = %(holder)s AND w.backend = %(backend)s")
_UNOWNED: LiteralString = _COUNT.replace("{condition}", "w.holder IS NULL AND w.backend = %(backend)s")
_NAMED: LiteralString = _COUNT.replace("{condition}", "w.name = %(name)s")


async def count_owned(holder: UUID, *, backend: str) -> None:
    """Add what the workspaces of `holder` ran since they were counted last. Raises psycopg.Error, and nothing is counted."""
    await _count(_OWNED, {"holder": holder, "backend": backend})


async def count_unowned(*, backend: str) -> None:
    """The same of the workspaces of `backend`, which nobody owns; of several processes that count, one finds something.

    What one did while its server did not run, or served nobody, is not counted.
    """
    runs = backends.backends()[backend]
    down = [row.name for row in await rows.unowned(backend=backend) if not runs.alive(row.instance)]
    await _count(_UNOWNED, {"backend": backend, "down": down})


async def count_rest(name: str) -> None:
    """The same of one workspace that is about to stop, or has just ended."""
    await _count(_NAMED, {"name": name})


async def _count(statement: LiteralString, values: Mapping[str, object]) -> None:
    async with db.connection() as conn, conn.transaction():
        cursor = await conn.execute(statement, {"down": [], **values, "most": MOST_S})
        await add_workspace_time(conn, [(user_id, ran_s) for user_id, ran_s in await cursor.fetchall() if ran_s])
