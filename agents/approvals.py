"""What waits for a user's yes or no, and the one decision that each gets.

A decision is one UPDATE that compares state, digest, expiry and owner by the database's clock: of any number at once, one
wins, and each other is told what was decided before. No text of a model or a tool ever comes here.
"""

from dataclasses import dataclass
from typing import Any, Literal

from accounts import audit
from agents.admission import admit
from agents.errors import Refused
from agents.wait_events import Row, events_of, show
from agents.waiting import digest_of
from agents.waits import lock_turn, one, record, wake
from gateway.db import Connection, connection
from gateway.ids import is_id

MAX_COMMENT_CHARS = 1000
Choice = Literal["approve", "reject"]
_STATES = {"approve": "approved", "reject": "rejected"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a user decides, and where; `digest` is that of what they were shown, where the channel knows it."""

    approval: str
    choice: Choice
    user_id: str
    channel: str
    comment: str = ""
    digest: str = ""


async def decide(decision: Decision) -> str:
    """Settle an approval and let its turn go on; the new state, approved or rejected.

    Raises Refused: `not_found` for a missing one or another's, `already_decided` with words that say what and where,
    `expired`, `changed` when it is not what the user was shown, `no_licence`, `licence_expired` or `not_included` (the channel).
    """
    if not is_id(decision.approval):
        raise _missing()
    if len(decision.comment) > MAX_COMMENT_CHARS or "\0" in decision.comment:
        raise Refused("invalid", f"A comment has at most {MAX_COMMENT_CHARS:,} characters.")
    async with connection() as conn, conn.transaction():
        await admit(conn, decision.user_id, channel=decision.channel)
        row = await _settle(conn, decision)
        woken = await wake(conn, row)
        await record(conn, row, actor=audit.user(decision.user_id))
    await show(woken, events_of(row))
    return str(row["state"])


async def _settle(conn: Connection, decision: Decision) -> Row:
    await lock_turn(conn, "approval", decision.approval)
    found = await one(
        conn, "SELECT * FROM approvals WHERE id = %s AND user_id = %s", (decision.approval, decision.user_id)
    )
    if found is None:
        raise _missing()
    digest = digest_of(found["covered"])
    row = await one(
        conn,
        "UPDATE approvals SET state = %s, by_channel = %s, comment = %s, decided_at = clock_timestamp()"
        " WHERE id = %s AND user_id = %s AND state = 'pending' AND digest = %s AND %s IN ('', digest)"
        " AND expires_at > clock_timestamp() RETURNING *, 'approval' AS kind",
        (
            _STATES[decision.choice], decision.channel, decision.comment, decision.approval, decision.user_id, digest,
            decision.digest,
        ),
    )  # fmt: skip
    if row is None:
        raise _too_late(found)
    return row


def _too_late(found: dict[str, Any]) -> Refused:
    """Why a decision changed nothing, by the row as it stood."""
    where = f" in {found['by_channel'].capitalize()}" if found["by_channel"] else ""
    match found["state"]:
        case "approved" | "rejected":
            return Refused("already_decided", f"This was {found['state']} already{where}. Nothing has changed.")
        case "cancelled":
            return Refused("already_decided", "This was withdrawn: its message was stopped.")
        case "pending" if found["digest"] != digest_of(found["covered"]):
            return Refused("changed", "This is not what was asked first. Nothing was approved.")
    return Refused("expired", "The time to decide this is over. Ask again if you still want it.")


def _missing() -> Refused:
    return Refused("not_found", "There is no such approval.")
