"""Tell a user something that they did not just ask for: a turn that is over when it begins, and its outbox row."""

from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from agents.conversations import lock_conversation
from agents.events import Done, UserMessage
from agents.opening import begin_journal
from agents.outbox import OutboxRow, new_row_id, put
from agents.queue import AfterCommit
from agents.schedules.rows import Where
from gateway.db import Connection
from gateway.ids import new_id


@dataclass(frozen=True, slots=True)
class Told:
    """What is told: `asked` is what the user once asked for, `text` the news. The same `external_id` is told once."""

    user_id: str
    where: Where
    external_id: str
    asked: str
    text: str


async def tell_on(conn: Connection, told: Told) -> tuple[str, AfterCommit] | None:
    """Write it in the caller's transaction, into the main conversation: its turn, and what to do after the commit.

    None when it was told before.
    """
    conversation = await lock_conversation(conn, user_id=told.user_id, conversation=None)
    turn, events = new_id(), [UserMessage(told.where.channel, told.asked), Done(content=told.text)]
    history: list[dict[str, Any]] = [
        {"role": "user", "content": told.asked, "channel": told.where.channel},
        {"role": "assistant", "content": told.text},
    ]
    cursor = await conn.execute(
        "INSERT INTO turns (id, user_id, conversation_id, channel, external_id, digest, content, wanted_model, reply_to, state,"
        " answer, history, accepted_at, finished_at, run_after, attempts, fence, journal_floor, last_seq, cancel_requested,"
        " model, usage, error_code, error_message, dead)"
        " VALUES (%s, %s, %s, %s, %s, '', %s, '', %s, 'done', %s, %s, clock_timestamp(), clock_timestamp(), clock_timestamp(),"
        " 0, 0, 11, 2, false, '', '{}', '', '', false) ON CONFLICT (user_id, channel, external_id) DO NOTHING",
        (
            turn, told.user_id, conversation, told.where.channel, told.external_id, told.asked, Jsonb(told.where.reply_to),
            told.text, Jsonb(history),
        ),
    )  # fmt: skip
    if cursor.rowcount == 0:
        return None
    payload = {"content": told.text}
    await put(
        conn, OutboxRow(new_row_id(), turn, told.user_id, told.where.channel, told.where.reply_to, "alert", payload)
    )

    async def show() -> None:
        await begin_journal(turn, conversation, user_id=told.user_id, events=events)

    return turn, show


def pause_words(reason: str, *, what: str) -> str:
    """How a user hears that something rests."""
    return f"{what} is paused: {reason} It goes on by itself when your licence allows it again."
