"""Which turns a workflow answers: a row for each, from when it is started until the turn has ended."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from agents.errors import FenceLost
from agents.settlement import storable
from gateway.db import Connection, connection

JSON = dict[str, Any]

_CHECKPOINTS: tuple[LiteralString, ...] = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")


@dataclass(frozen=True, slots=True)
class WorkflowRun:
    """The workflow of a turn and what it was started with.

    When an agent has started it: what the agent had `said`, its `messages` in stored form, the last one calling the workflow
    as `call`, and the tokens it had used by then.
    """

    workflow: str
    inputs: JSON
    said: str = ""
    messages: list[JSON] = field(default_factory=list)
    call: str = ""
    usage: JSON = field(default_factory=dict)


async def put_run(conn: Connection, turn: str, run: WorkflowRun) -> None:
    """Have a workflow answer a turn that is being accepted, in the caller's transaction."""
    await conn.execute(
        "INSERT INTO workflow_runs (turn_id, workflow, inputs, said, messages, call, usage)"
        " VALUES (%s, %s, %s, '', '[]', '', '{}')",
        (turn, run.workflow, Jsonb(storable(run.inputs))),
    )


async def hand_over(turn: str, *, fence: int, run: WorkflowRun) -> None:
    """Have a workflow answer the rest of a running turn. Raises FenceLost when the turn has been taken over."""
    async with connection() as conn:
        cursor = await conn.execute(
            "INSERT INTO workflow_runs (turn_id, workflow, inputs, said, messages, call, usage)"
            " SELECT id, %s, %s, %s, %s, %s, %s FROM turns WHERE id = %s AND fence = %s AND state = 'running'",
            (
                run.workflow, Jsonb(storable(run.inputs)), storable(run.said), Jsonb(storable(run.messages)), run.call,
                Jsonb(run.usage), turn, fence,
            ),
        )  # fmt: skip
    if cursor.rowcount == 0:
        raise FenceLost


async def find_run(turn: str) -> WorkflowRun | None:
    """The workflow that answers a turn."""
    async with connection() as conn, conn.cursor(row_factory=class_row(WorkflowRun)) as cursor:
        await cursor.execute(
            "SELECT workflow, inputs, said, messages, call, usage FROM workflow_runs WHERE turn_id = %s", (turn,)
        )
        return await cursor.fetchone()


async def erase_ended() -> None:
    """Erase the workflows and checkpoints of turns that are over; one that was given up keeps its for a retry."""
    async with connection() as conn, conn.transaction():
        cursor = await conn.execute(
            "DELETE FROM workflow_runs w WHERE NOT EXISTS (SELECT 1 FROM turns t WHERE t.id = w.turn_id"
            " AND (t.state NOT IN ('done', 'failed', 'cancelled') OR (t.dead AND t.content <> ''))) RETURNING turn_id::text"
        )
        turns = [row[0] for row in await cursor.fetchall()]
        if turns:
            await erase_steps(conn, turns)


async def erase_steps(conn: Connection, turns: Sequence[str]) -> None:
    """Let the workflows of turns begin at their first step, in the caller's transaction."""
    for table in _CHECKPOINTS:
        await conn.execute(f"DELETE FROM {table} WHERE thread_id = ANY(%s)", ([*turns],))
