"""What waits for a user's yes or no, and the one decision that each gets.

A decision is one UPDATE that compares state, digest, expiry and owner by the database's clock: of any number at once, one
wins, and each other is told what was decided before. No text of a model or a tool ever comes here.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.rows import class_row

from accounts import audit
from agents.admission import admit
from agents.errors import Refused
from agents.queue import AfterCommit
from agents.wait_events import Row, events_of, show
from agents.waiting import digest_of
from agents.waits import lock_turn, one, record, settled_before, too_late, wake
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


@dataclass(frozen=True, slots=True)
class ApprovalView:
    """An approval as its owner sees it; `title` and `details` are empty once the turn's texts are erased."""

    id: str
    turn: str
    conversation: str
    workflow: str
    title: str
    details: dict[str, Any]
    digest: str
    state: str
    by_channel: str
    comment: str
    created_at: datetime
    expires_at: datetime
    decided_at: datetime | None


async def decide(decision: Decision) -> ApprovalView:
    """Settle an approval and let its turn go on.

    Raises Refused: `not_found` for a missing one or another's, `already_decided` with words that say what and where,
    `expired`, `changed` when it is not what the user was shown, `invalid`, `no_licence`, `licence_expired` or `not_included`
    (the channel); then nothing is changed.
    """
    async with connection() as conn, conn.transaction():
        await admit(conn, decision.user_id, channel=decision.channel)
        after = await decide_on(conn, decision)
    await after()
    return await get_approval(decision.user_id, decision.approval)


async def decide_on(conn: Connection, decision: Decision) -> AfterCommit:
    """The same within a caller's transaction, which has admitted the user; what is returned is done after its commit."""
    if not is_id(decision.approval):
        raise _missing()
    if len(decision.comment) > MAX_COMMENT_CHARS or "\0" in decision.comment:
        raise Refused("invalid", f"A comment has at most {MAX_COMMENT_CHARS:,} characters, none of them NUL.")
    row = await _settle(conn, decision)
    woken = await wake(conn, row)
    await record(conn, row, actor=audit.user(decision.user_id))

    async def tell() -> None:
        await show(woken, events_of(row))

    return tell


async def list_approvals(
    user_id: str, *, pending: bool = False, limit: int = 100, before: str | None = None
) -> list[ApprovalView]:
    """The user's approvals, the newest first; `before` = the id of the last one of the page before."""
    return await _views(
        "a.user_id = %(user)s AND (NOT %(pending)s OR (a.state = 'pending' AND a.expires_at > clock_timestamp()))"
        " AND (%(before)s::uuid IS NULL OR a.id < %(before)s) ORDER BY a.id DESC LIMIT %(limit)s",
        {"user": user_id, "pending": pending, "before": before, "limit": limit},
    )


async def get_approval(user_id: str, approval: str) -> ApprovalView:
    """One of the user's approvals; Refused `not_found` for another's or a missing one."""
    if not is_id(approval):
        raise _missing()
    found = await _views("a.id = %(id)s AND a.user_id = %(user)s", {"id": approval, "user": user_id})
    if not found:
        raise _missing()
    return found[0]


async def _views(condition: Any, values: dict[str, Any]) -> list[ApprovalView]:
    async with connection() as conn, conn.cursor(row_factory=class_row(ApprovalView)) as cursor:
        await cursor.execute(
            "SELECT a.id::text, a.turn_id::text AS turn, t.conversation_id::text AS conversation, a.workflow, a.title,"
            " a.details, a.digest, a.state, a.by_channel, a.comment, a.created_at, a.expires_at, a.decided_at"
            f" FROM approvals a JOIN turns t ON t.id = a.turn_id WHERE {condition}",
            values,
        )
        return await cursor.fetchall()


async def _settle(conn: Connection, decision: Decision) -> Row:
    await lock_turn(conn, "approval", decision.approval)
    found = await one(
        conn,
        "SELECT *, expires_at <= clock_timestamp() AS late FROM approvals WHERE id = %s AND user_id = %s",
        (decision.approval, decision.user_id),
    )
    if found is None:
        raise _missing()
    if (before := settled_before(found)) is not None:
        raise before
    digest = digest_of(found["covered"])
    if decision.digest not in {"", digest}:
        raise _changed()
    row = await one(
        conn,
        "UPDATE approvals SET state = %s, by_channel = %s, comment = %s, decided_at = clock_timestamp()"
        " WHERE id = %s AND user_id = %s AND state = 'pending' AND digest = %s AND expires_at > clock_timestamp()"
        " RETURNING *, 'approval' AS kind",
        (
            _STATES[decision.choice], decision.channel, decision.comment, decision.approval, decision.user_id, digest,
        ),
    )  # fmt: skip
    if row is None:
        # The turn is locked, so its state is as it was found.
        raise _changed() if found["digest"] != digest else too_late()
    return row


def _changed() -> Refused:
    return Refused("changed", "This is not what was shown to you. Nothing has changed.")


def _missing() -> Refused:
    return Refused("not_found", "There is no such approval.")
