"""The user's conversations: messages appended by turn, read in pages from the newest back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcp_server.errors import BadMessage
from mcp_server.storage.database import Database, timestamp

Message = dict[str, Any]

# A page stops here even short of the asked number of messages, so that one read never fills a model's context.
PAGE_BYTES = 256 * 1024
MESSAGE_BYTES = 256 * 1024

TITLE_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Appended:
    """How an append ended. `stored` is False when the turn was stored before; `messages` counts the turn's messages."""

    stored: bool
    messages: int


@dataclass(frozen=True, slots=True)
class Page:
    """Messages oldest first; `before` asks for the page of older ones and is None when there are none."""

    title: str
    total: int
    messages: list[Message]
    before: int | None


@dataclass(frozen=True, slots=True)
class Summary:
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
            _touch(connection, Summary(conversation, _title(messages), len(bodies), now, now))
            connection.execute("INSERT INTO turns VALUES (?, ?, ?)", (conversation, turn, len(bodies)))
            connection.executemany(
                "INSERT INTO messages (conversation, turn, body) VALUES (?, ?, ?)",
                [(conversation, turn, body) for body in bodies],
            )
        return Appended(stored=True, messages=len(bodies))

    def page(self, conversation: str, *, limit: int, before: int | None = None) -> Page:
        """The newest `limit` messages, or those older than `before`. An unknown conversation is an empty page."""
        with self._database.reading() as connection:
            head = connection.execute(
                "SELECT title, messages FROM conversations WHERE id = ?", (conversation,)
            ).fetchone()
            rows = connection.execute(
                "SELECT position, turn, body FROM messages WHERE conversation = ? AND (? IS NULL OR position < ?)"
                " ORDER BY position DESC LIMIT ?",
                (conversation, before, before, limit + 1),
            ).fetchall()
        title, total = head or ("", 0)
        kept = rows[: min(limit, _fitting(rows))]
        messages = [{**json.loads(body), "turn": turn} for _, turn, body in reversed(kept)]
        return Page(title, total, messages, before=kept[-1][0] if len(kept) < len(rows) else None)

    def newest(self, limit: int) -> list[Summary]:
        """The `limit` conversations that were written to last, newest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT id, title, messages, created_at, updated_at FROM conversations"
                " ORDER BY updated_at DESC, id LIMIT ?",
                (limit,),
            ).fetchall()
        return [Summary(*row) for row in rows]

    def count(self) -> int:
        with self._database.reading() as connection:
            total: int = connection.execute("SELECT count(*) FROM conversations").fetchone()[0]
        return total

    def delete(self, conversation: str) -> int:
        """Erase a conversation; gives the number of messages erased, 0 when there was none."""
        with self._database.writing() as connection:
            erased = connection.execute("DELETE FROM messages WHERE conversation = ?", (conversation,)).rowcount
            connection.execute("DELETE FROM conversations WHERE id = ?", (conversation,))
        self._database.scrub()
        return erased


def _touch(connection: sqlite3.Connection, summary: Summary) -> None:
    connection.execute(
        "INSERT INTO conversations (id, title, messages, created_at, updated_at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET messages = messages + excluded.messages, updated_at = excluded.updated_at",
        (summary.id, summary.title, summary.messages, summary.created_at, summary.updated_at),
    )


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


def _fitting(rows: Iterable[tuple[int, str, str]]) -> int:
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
