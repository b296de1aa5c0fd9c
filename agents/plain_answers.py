"""Plain words in a chat that answer a question of the agent there: the one that they quote, or the only one that waits.

An approval is never decided so.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from psycopg.rows import class_row

from agents.commands import Command, Context
from agents.errors import Refused
from agents.forms import buttons, fields, typed_form
from agents.markup import plain
from agents.questions import Reply, reply_on
from agents.waits import code_of
from gateway.db import Connection

# Of a question that was asked earlier, nobody thinks any more who writes something.
FRESH_HOURS = 1
# What is shown again of a question.
MOST_TEXT_CHARS = 300
# Those that a hint names.
MOST_NAMED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A user's questions that a chat shows, by their ids, and words there may answer; `quoted` is the one that they quote."""

    ids: tuple[str, ...] = ()
    quoted: str = ""


@dataclass(frozen=True, slots=True)
class _Open:
    """A question that nobody has answered. `near`: it was asked in this conversation, lately, and its time is not over."""

    id: str
    text: str
    schema: dict[str, Any]
    near: bool

    @property
    def one_value(self) -> bool:
        return len(fields(self.schema)) == 1

    @property
    def free(self) -> bool:
        """Whether it asks for words, which no button gives."""
        return self.one_value and not buttons(self.schema)

    @property
    def words(self) -> str:
        cut = self.text if len(self.text) <= MOST_TEXT_CHARS else f"{self.text[:MOST_TEXT_CHARS]}…"
        return f"**{plain(cut)}**"


async def find(conn: Connection, shown: Shown, *, words: str, conversation: str) -> Command | None:
    """What answers words in place of a turn: that they were taken as an answer, or why not; None = they are a message."""
    if words.lstrip().startswith("/"):
        return None
    open_ = await _open(conn, shown, conversation=conversation)
    if shown.quoted:
        meant = [each for each in open_ if each.id == shown.quoted]
    else:
        meant = [each for each in open_ if each.near and each.free]
    if not meant:
        return None
    run = partial(_take, question=meant[0], words=words) if len(meant) == 1 else partial(_hint, questions=meant)
    return Command(run)


async def _open(conn: Connection, shown: Shown, *, conversation: str) -> list[_Open]:
    async with conn.cursor(row_factory=class_row(_Open)) as cursor:
        await cursor.execute(
            "SELECT q.id::text, q.text, q.schema, q.expires_at > clock_timestamp()"
            " AND q.created_at > clock_timestamp() - %(fresh)s * interval '1 hour'"
            " AND t.conversation_id = %(conversation)s AS near"
            " FROM questions q JOIN turns t ON t.id = q.turn_id"
            " WHERE q.id = ANY(%(ids)s::uuid[]) AND q.state = 'pending' ORDER BY q.id",
            {
                "fresh": FRESH_HOURS, "conversation": conversation,
                "ids": [shown.quoted] if shown.quoted else [*shown.ids],
            },
        )  # fmt: skip
        return await cursor.fetchall()


async def _take(context: Context, *, question: _Open, words: str) -> str:
    if not question.one_value:
        how = f"Type your answer like this:\n\n{typed_form(question.schema, code=code_of(question.id))}"
        return f"Plain words don't answer {question.words}\n\n{how}"
    given = Reply(question=question.id, user_id=context.user_id, channel=context.channel, typed=words.strip())
    try:
        context.after_commit.append(await reply_on(context.conn, given))
    except Refused as refused:
        return f"{refused.message}\n\n{_how_else(question)}" if refused.code == "invalid" else refused.message
    return f"Taken as the answer to: {question.words}\n\nIt goes on."


async def _hint(_context: Context, *, questions: list[_Open]) -> str:
    lines = [f"- {each.words}: `/answer {code_of(each.id)}` and your answer" for each in questions[:MOST_NAMED]]
    return "\n\n".join(
        [
            f"{len(questions)} questions wait for an answer here, and I can't tell which one this is for. Nothing has changed.",
            "\n".join(lines),
            "The code alone leaves a question unanswered; /stop stops what asks them.",
        ]
    )


def _how_else(question: _Open) -> str:
    """What may be done about words that don't answer."""
    code = code_of(question.id)
    return f"{question.words} still waits: write another answer, or type `/answer {code}` alone to leave it unanswered."
