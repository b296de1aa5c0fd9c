"""A user whose workspace runs, and the engine with the real agent: what workflows are tested with."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from agents import harness, workflow_points
from agents.approvals import Decision, decide
from agents.history import append_turn
from agents.mcp.pool import pool
from agents.questions import Reply, reply
from agents.tests.engine import ScriptedBrain, TestWorker
from gateway.db import connection

JSON = dict[str, Any]


@dataclass
class RealBrain(ScriptedBrain):
    """The agent itself, in the place of the scripted one. `stop_at` names the point at which it is held for ever."""

    stop_at: str = ""
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    points: list[str] = field(default_factory=list)

    async def run(self, request: Any, emit: Any) -> Any:
        workflow_points.watcher.set(self._at)
        return await harness.run_agent(request, emit)

    async def remember(self, licence: Any, conversation: str, turn: str, messages: list[JSON]) -> None:
        await append_turn(licence, conversation, turn, messages)
        self.stored[turn] = messages

    async def _at(self, point: str) -> None:
        self.points.append(point)
        if point == self.stop_at:
            self.reached.set()
            await asyncio.Event().wait()


async def run_one(worker: TestWorker) -> str:
    """Claim the next turn and run its attempt to the end of it."""
    turn = await worker.claim()
    assert turn is not None
    await asyncio.wait_for(worker.runs[turn][1], 60)
    return turn


async def killed_at(point: str, *, brain: RealBrain) -> str:
    """Run the next turn in a worker of its own, which is killed at the point; the turn."""
    brain.stop_at = point
    brain.reached.clear()
    worker = await TestWorker(brain).begin()
    turn = await worker.claim()
    assert turn is not None
    ended = worker.runs[turn][1]
    reached = asyncio.create_task(brain.reached.wait())
    done, _ = await asyncio.wait({ended, reached}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
    assert reached in done, f"{point} was not reached"
    brain.stop_at = ""
    await worker.die()
    return turn


async def deployments(licence: Any) -> list[JSON]:
    """What runs in the user's workspace."""
    outcome = await pool().session(licence).call_tool("list_deployments", {})
    assert outcome.structured is not None
    found: list[JSON] = outcome.structured["deployments"]
    return found


async def pending_approval(turn: str) -> JSON:
    """The approval that a turn waits for."""
    async with connection() as conn:
        cursor = await conn.execute(
            "SELECT id::text, title, details, digest, covered FROM approvals WHERE turn_id = %s AND state = 'pending'",
            (turn,),
        )
        found = await cursor.fetchall()
    assert len(found) == 1, found
    return dict(zip(("id", "title", "details", "digest", "covered"), found[0], strict=True))


async def checkpoints(turn: str) -> int:
    """How many checkpoints a turn has."""
    async with connection() as conn:
        cursor = await conn.execute("SELECT count(*) FROM checkpoints WHERE thread_id = %s", (turn,))
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def settle(turn: str, choice: Any = "approve") -> None:
    """Decide what a turn waits for."""
    approval = await pending_approval(turn)
    await decide(Decision(approval=approval["id"], choice=choice, user_id="demo-pro", channel="web"))


async def answer_question(turn: str, text: str) -> None:
    """Answer what a turn asks."""
    async with connection() as conn:
        cursor = await conn.execute("SELECT id::text FROM questions WHERE turn_id = %s AND state = 'pending'", (turn,))
        [(question,)] = await cursor.fetchall()
    await reply(Reply(question=question, user_id="demo-pro", channel="web", values={"answer": text}))


def text_of(found: list[dict[str, Any]]) -> str:
    """What a client shows in the end."""
    shown = ""
    for frame in found:
        if frame["type"] == "snapshot":
            shown = frame["content"]
        if frame["type"] == "token":
            shown += frame["content"]
    return shown
