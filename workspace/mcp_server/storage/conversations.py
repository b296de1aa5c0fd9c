"""The user's conversations: messages appended by turn, read in pages from the newest back, and a summary of each."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcp_server.errors import BadMessage, BadSummary, UnknownConversation
from mcp_server.storage.database import Database, timestamp

Message = dict[str, Any]
Row = tuple[int, str, str]

# A page stops here even short of the asked number of messages, so that one read never fills a model's context.
PAGE_BYTES = 256 * 1024
MESSAGE_BYTES = 256 * 1024

TITLE_CHARACTERS = 60

HEAD = "SELECT title, messages FROM conversations WHERE id = ?"
LAST = "SELECT max(position) FROM messages WHERE conversation = ?"


@dataclass(frozen=True, slots=True)
class Appended:
    """How an append ended. `stored` is False when the turn was stored before; `messages` counts the turn's messages."""

    stored: bool
    messages: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What the messages up to and with the position `up_to` said; `updated_at` is ISO 8601 in UTC."""

    text: str
    up_to: int
    updated_at: str


@dataclass(frozen=True, slots=True)
class Page:
    """Messages oldest first, the newest of them at the position `last`; None = no message.

    `before` asks for the page of older ones and is None when there are none.
    """

    title: str
    total: int
    messages: list[Message]
    before: int | None
    last: int | None
    summary: Summary | None


@dataclass(frozen=True, slots=True)
class Heading:
    """A conversation in a list. Times are ISO 8601 in UTC."""

    id: str
    title: str
    messages: int
    created_at: str
    updated_at: str


class Conversations:
    """Conversations in the user's file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, conversation: str, *, turn: str, messages: Sequence[Mapping[str, Any]]) -> Appended:
        """Store a turn's messages, once: a turn that is stored already is left as it is.

        A message without `at` gets the present time. Raises BadMessage for one over 256 KiB or not plain JSON.
        """
        now = timestamp()
        bodies = [_body({**message, "at": message.get("at") or now}) for message in messages]
        with self._database.writing() as connection:
            known = connection.execute(
                "SELECT messages FROM turns WHERE conversation = ? AND turn = ?", (conversation, turn)
            ).fetchone()
            if known is not None:
                return Appended(stored=False, messages=known[0])
            _touch(connection, Heading(conversation, _title(messages), len(bodies), now, now))
            connection.execute("INSERT INTO turns VALUES (?, ?, ?)", (conversation, turn, len(bodies)))
            connection.executemany(
                "INSERT INTO messages (conversation, turn, body) VALUES (?, ?, ?)",
                [(conversation, turn, body) for body in bodies],
            )
        return Appended(stored=True, messages=len(bodies))

    def page(self, conversation: str, *, limit: int, before: int | None = None, after: int = 0) -> Page:
        """The newest `limit` messages, of those older than `before` and newer than `after` where these are given.

        An unknown conversation is an empty page.
        """
        with self._database.reading() as connection:
            title, total = connection.execute(HEAD, (conversation,)).fetchone() or ("", 0)
            rows = connection.execute(
                "SELECT position, turn, body FROM messages WHERE conversation = ? AND (? IS NULL OR position < ?)"
                " ORDER BY position DESC LIMIT ?",
                (conversation, before, before, limit + 1),
            ).fetchall()
            summary = _summary(connection, conversation)
        wanted = [row for row in rows[:limit] if row[0] > after]
        kept = wanted[: _fitting(wanted)]
        messages = [{**json.loads(body), "turn": turn} for _, turn, body in reversed(kept)]
        return Page(
            title,
            total,
            messages,
            before=_older(kept, rows),
            last=kept[0][0] if kept else None,
            summary=summary,
        )

    def recent(self, conversation: str, *, limit: int) -> Page:
        """What an agent needs to go on: the summary and the newest of the messages that it does not cover."""
        with self._database.reading() as connection:
            summary = _summary(connection, conversation)
        return self.page(conversation, limit=limit, after=summary.up_to if summary else 0)

    def summarise(self, conversation: str, *, text: str, up_to: int) -> Summary:
        """Keep a summary of the messages up to and with the position `up_to`; gives the one that then stands.

        A summary never falls behind: one that covers less than what is kept changes nothing. Raises
        UnknownConversation, and BadSummary for a position after the last message.
        """
        summary = Summary(text, up_to, timestamp())
        with self._database.writing() as connection:
            last = connection.execute(LAST, (conversation,)).fetchone()[0]
            if last is None:
                raise UnknownConversation
            if up_to > last:
                raise BadSummary(f"The last message has the position {last}; `up_to` is at most that.")
            known = _summary(connection, conversation)
            if known is not None and (known.up_to > up_to or (known.up_to, known.text) == (up_to, text)):
                return known
            connection.execute(
                "INSERT OR REPLACE INTO summaries (conversation, summary, up_to, updated_at) VALUES (?, ?, ?, ?)",
                (conversation, summary.text, summary.up_to, summary.updated_at),
            )
        return summary

    def newest(self, limit: int) -> list[Heading]:
        """The `limit` conversations that were written to last, newest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT id, title, messages, created_at, updated_at FROM conversations"
                " ORDER BY updated_at DESC, id LIMIT ?",
                (limit,),
            ).fetchall()
        return [Heading(*row) for row in rows]

    def count(self) -> int:
        with self._database.reading() as connection:
            total: int = connection.execute("SELECT count(*) FROM conversations").fetchone()[0]
        return total

    def delete(self, conversation: str) -> int:
        """Erase a conversation; gives the number of messages erased, 0 when there was none."""
        with self._database.erasing() as connection:
            erased = connection.execute("DELETE FROM messages WHERE conversation = ?", (conversation,)).rowcount
            connection.execute("DELETE FROM conversations WHERE id = ?", (conversation,))
        self._database.scrub()
        return erased


def _touch(connection: sqlite3.Connection, heading: Heading) -> None:
    connection.execute(
        "INSERT INTO conversations (id, title, messages, created_at, updated_at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET messages = messages + excluded.messages, updated_at = excluded.updated_at",
        (heading.id, heading.title, heading.messages, heading.created_at, heading.updated_at),
    )


def _summary(connection: sqlite3.Connection, conversation: str) -> Summary | None:
    row = connection.execute(
        "SELECT summary, up_to, updated_at FROM summaries WHERE conversation = ?", (conversation,)
    ).fetchone()
    return None if row is None else Summary(*row)


def _body(message: Message) -> str:
    try:
        body = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(body.encode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadMessage(
            "A message holds something that is not plain JSON text (NaN, half a surrogate pair)."
        ) from error
    if size > MESSAGE_BYTES:
        raise BadMessage(f"A message has {size} bytes, at most {MESSAGE_BYTES} are kept. Shorten its content.")
    return body


def _older(kept: Sequence[Row], rows: Sequence[Row]) -> int | None:
    """The cursor for what comes before the kept rows."""
    if len(kept) == len(rows):
        return None
    return kept[-1][0] if kept else rows[0][0] + 1


def _fitting(rows: Iterable[Row]) -> int:
    """How many of the rows, newest first, fit in a page; one always does."""
    size = count = 0
    for _, _, body in rows:
        size += len(body.encode("utf-8"))
        if count and size > PAGE_BYTES:
            break
        count += 1
    return count


def _title(messages: Sequence[Mapping[str, Any]]) -> str:
    said = next((message["content"] for message in messages if message["role"] == "user"), "")
    words = " ".join(str(said).split())
    return words if len(words) <= TITLE_CHARACTERS else words[: TITLE_CHARACTERS - 1].rstrip() + "…"
