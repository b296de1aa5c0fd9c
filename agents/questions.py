"""What a turn asks its user, and the one answer that each question gets; see approvals.py, which it is like."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from accounts import audit
from agents import forms
from agents.admission import admit
from agents.errors import Refused
from agents.queue import AfterCommit
from agents.settlement import storable
from agents.wait_events import Row, events_of, show
from agents.waits import lock_turn, one, record, settled_before, too_late, wake
from gateway.db import Connection, connection
from gateway.ids import is_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a user says to a question, and where; `values` None declines to answer. `typed` are words in their place."""

    question: str
    user_id: str
    channel: str
    values: dict[str, Any] | None = None
    typed: str | None = None


@dataclass(frozen=True, slots=True)
class QuestionView:
    """A question as its owner sees it; `text` and `schema` are empty once the turn's texts are erased."""

    id: str
    turn: str
    conversation: str
    text: str
    schema: dict[str, Any]
    state: str
    by_channel: str
    created_at: datetime
    expires_at: datetime
    decided_at: datetime | None


async def reply(given: Reply) -> QuestionView:
    """Answer a question, or decline to, and let its turn go on.

    Raises Refused: `not_found` for a missing one or another's, `invalid` for values that don't fit its schema,
    `already_decided`, `expired`, `no_licence`, `licence_expired` or `not_included` (the channel); then nothing is changed.
    """
    async with connection() as conn, conn.transaction():
        await admit(conn, given.user_id, channel=given.channel)
        after = await reply_on(conn, given)
    await after()
    return await get_question(given.user_id, given.question)


async def reply_on(conn: Connection, given: Reply) -> AfterCommit:
    """The same within a caller's transaction, which has admitted the user; what is returned is done after its commit."""
    if not is_id(given.question):
        raise _missing()
    row = await _settle(conn, given)
    woken = await wake(conn, row)
    await record(conn, row, actor=audit.user(given.user_id))

    async def tell() -> None:
        await show(woken, events_of(row))

    return tell


async def list_questions(
    user_id: str, *, pending: bool = False, limit: int = 100, before: str | None = None
) -> list[QuestionView]:
    """The user's questions, the newest first; `before` = the id of the last one of the page before."""
    return await _views(
        "q.user_id = %(user)s AND (NOT %(pending)s OR (q.state = 'pending' AND q.expires_at > clock_timestamp()))"
        " AND (%(before)s::uuid IS NULL OR q.id < %(before)s) ORDER BY q.id DESC LIMIT %(limit)s",
        {"user": user_id, "pending": pending, "before": before, "limit": limit},
    )


async def get_question(user_id: str, question: str) -> QuestionView:
    """One of the user's questions; Refused `not_found` for another's or a missing one."""
    if not is_id(question):
        raise _missing()
    found = await _views("q.id = %(id)s AND q.user_id = %(user)s", {"id": question, "user": user_id})
    if not found:
        raise _missing()
    return found[0]


async def _views(condition: Any, values: dict[str, Any]) -> list[QuestionView]:
    async with connection() as conn, conn.cursor(row_factory=class_row(QuestionView)) as cursor:
        await cursor.execute(
            "SELECT q.id::text, q.turn_id::text AS turn, t.conversation_id::text AS conversation, q.text, q.schema, q.state,"
            " q.by_channel, q.created_at, q.expires_at, q.decided_at"
            f" FROM questions q JOIN turns t ON t.id = q.turn_id WHERE {condition}",
            values,
        )
        return await cursor.fetchall()


async def _settle(conn: Connection, given: Reply) -> Row:
    await lock_turn(conn, "question", given.question)
    found = await one(
        conn,
        "SELECT *, expires_at <= clock_timestamp() AS late FROM questions WHERE id = %s AND user_id = %s",
        (given.question, given.user_id),
    )
    if found is None:
        raise _missing()
    values = _values(given, found)
    row = await one(
        conn,
        "UPDATE questions SET state = %s, values = %s, by_channel = %s, decided_at = clock_timestamp()"
        " WHERE id = %s AND user_id = %s AND state = 'pending' AND expires_at > clock_timestamp()"
        " RETURNING *, 'question' AS kind",
        (
            "declined" if values is None else "answered",
            None if values is None else Jsonb(values),
            given.channel,
            given.question,
            given.user_id,
        ),
    )
    if row is None:
        # The turn is locked, so its state is as it was found.
        raise too_late()
    return row


def _values(given: Reply, found: Row) -> dict[str, Any] | None:
    """The values to be stored. Raises Refused for those that don't fit; of what is settled nothing is checked."""
    if (before := settled_before(found)) is not None:
        raise before
    values = given.values if given.typed is None else forms.read_typed(found["schema"], given.typed)
    if values is None:
        return None
    values = dict(storable(values))
    if fault := forms.complaint(found["schema"], values):
        raise Refused("invalid", f"That does not answer the question. {fault}")
    return values


def _missing() -> Refused:
    return Refused("not_found", "There is no such question.")
