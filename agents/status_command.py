"""The chat command /status: the workspace, what is left of the month, and what is being answered, wherever it was asked."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

from psycopg.rows import class_row

from accounts.channel_names import place_of
from accounts.usage_report import Standing, standing_of
from provisioning.workspaces import workspace_status

if TYPE_CHECKING:
    from agents.commands import Context

MOST_LISTED = 5
MOST_CHARS = 60
_OPEN: LiteralString = (
    "SELECT state, channel, content, extract(epoch FROM clock_timestamp() - COALESCE(started_at, accepted_at))::int AS seconds"
    " FROM turns WHERE user_id = %s AND state NOT IN ('done', 'failed', 'cancelled') ORDER BY accepted_at, id"
)
_STATES = {
    "running": "being answered for {time}",
    "queued": "waiting for {time}",
    "awaiting_approval": "waits for your yes or no",
    "awaiting_answer": "waits for your answer",
}


@dataclass(frozen=True, slots=True)
class _Open:
    """A turn that has not ended."""

    state: str
    channel: str
    content: str
    seconds: int


async def gather(user_id: str, _words: str) -> list[str]:
    """The lines that need no transaction."""
    status, standing = await workspace_status(user_id), await standing_of(user_id)
    workspace = f"Workspace: {status.state}" + (f" – {status.detail}" if status.detail else "")
    return [workspace, *([_tokens_left(standing)] if standing else [])]


async def run(context: "Context") -> str:
    """What /status answers."""
    async with context.conn.cursor(row_factory=class_row(_Open)) as cursor:
        await cursor.execute(_OPEN, (context.user_id,))
        found = await cursor.fetchall()
    states = [each.state for each in found]
    running, queued = states.count("running"), states.count("queued")
    asking = len(found) - running - queued
    counts = f"Answers being written: {running}, waiting: {queued}" + (f", waiting for you: {asking}" if asking else "")
    rest = [f"- and {len(found) - MOST_LISTED} more"] if len(found) > MOST_LISTED else []
    return "\n".join([*context.facts, counts, *map(_line, found[:MOST_LISTED]), *rest])


def _tokens_left(standing: Standing) -> str:
    limit, budget = standing.licence.limits.tokens_per_month, standing.budget
    if limit is None:
        return f"Tokens used this month: {budget.tokens_used:,}, without a limit"
    return f"Tokens left this month: {max(0, limit - budget.tokens_used - budget.tokens_reserved):,} of {limit:,}"


def _line(turn: _Open) -> str:
    words = " ".join(turn.content.replace("`", "´").split())
    shown = words if len(words) <= MOST_CHARS else f"{words[:MOST_CHARS]}…"
    state = _STATES.get(turn.state, turn.state).format(time=_time(turn.seconds))
    return f"- `{shown}` – {state}, asked {place_of(turn.channel)}"


def _time(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
