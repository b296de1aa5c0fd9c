"""Conversations: which one a message belongs to, and the list that a user sees. Their messages live in the workspace."""

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from psycopg.rows import class_row

from agents.errors import Refused
from agents.waits import TABLES
from gateway.db import Connection, connection
from gateway.ids import is_id, new_id

MAIN = "main"
# What a message may say for it.
MAIN_NAMES = frozenset({None, "", MAIN})
MAX_TITLE = 120
# More than a person keeps apart; what a script makes must end somewhere.
MOST_CONVERSATIONS = 1000

_COLUMNS = "id::text, alias, title, model, created_at, updated_at"


@dataclass(frozen=True, slots=True)
class ConversationItem:
    """A conversation as its owner sees it; `alias` is `main` for the one that all channels share."""

    id: str
    alias: str
    title: str
    model: str
    created_at: datetime
    updated_at: datetime


async def lock_conversation(conn: Connection, *, user_id: str, conversation: str | None) -> str:
    """The id of the user's conversation (None = the main one, made if need be), locked until the transaction ends.

    The lock gives the messages of a conversation one order. Raises Refused `not_found` for another's or a missing one.
    """
    if conversation in MAIN_NAMES:
        return await _lock_main(conn, user_id)
    _check(conversation)
    cursor = await conn.execute(
        "SELECT id::text FROM conversations WHERE user_id = %s AND id = %s FOR NO KEY UPDATE", (user_id, conversation)
    )
    row = await cursor.fetchone()
    if row is None:
        raise missing()
    return str(row[0])


async def main_conversation(user_id: str) -> str:
    """The id of the conversation that all channels of the user share; made if need be."""
    async with connection() as conn:
        await ensure_main(conn, user_id)
        cursor = await conn.execute(
            "SELECT id::text FROM conversations WHERE user_id = %s AND alias = 'main'", (user_id,)
        )
        row = await cursor.fetchone()
    if row is None:
        raise missing()
    return str(row[0])


async def begin_new_main(conn: Connection, user_id: str) -> str:
    """Make a fresh conversation the main one; the old one stays in the list."""
    await conn.execute("UPDATE conversations SET alias = '' WHERE user_id = %s AND alias = 'main'", (user_id,))
    await ensure_main(conn, user_id)
    return await lock_conversation(conn, user_id=user_id, conversation=None)


async def is_main(conn: Connection, conversation: str) -> bool:
    """Whether it is the one that all channels of its user share."""
    cursor = await conn.execute("SELECT alias = 'main' FROM conversations WHERE id = %s", (conversation,))
    row = await cursor.fetchone()
    return bool(row and row[0])


async def list_conversations(
    user_id: str, *, limit: int = 100, after: tuple[datetime, str] | None = None, title_holds: str = ""
) -> list[ConversationItem]:
    """The user's conversations, the last used first; `after` = updated_at and id of the last one of the page before,
    `title_holds` = only those whose title holds it, in any case."""
    async with connection() as conn, conn.cursor(row_factory=class_row(ConversationItem)) as cursor:
        await cursor.execute(
            f"SELECT {_COLUMNS} FROM conversations WHERE user_id = %s"
            " AND (%s::timestamptz IS NULL OR (updated_at, id) < (%s, %s::uuid))"
            " AND strpos(lower(title), lower(%s)) > 0 ORDER BY updated_at DESC, id DESC LIMIT %s",
            (user_id, *((after[0], *after) if after else (None, None, None)), title_holds, limit),
        )
        return await cursor.fetchall()


async def get_conversation(user_id: str, conversation: str) -> ConversationItem:
    """One of the user's conversations, by its id or as `main`; Refused `not_found` for another's or a missing one."""
    found = await _resolved(user_id, conversation)
    return await _one(f"SELECT {_COLUMNS} FROM conversations WHERE id = %s AND user_id = %s", (found, user_id))


async def create_conversation(user_id: str, *, title: str = "") -> ConversationItem:
    """A new conversation beside the main one. Raises Refused `too_many` for a user who has 1,000."""
    async with connection() as conn:
        return await create_conversation_on(conn, user_id, title=title)


async def create_conversation_on(conn: Connection, user_id: str, *, title: str = "") -> ConversationItem:
    """The same on the caller's connection."""
    cursor = await conn.execute("SELECT count(*) FROM conversations WHERE user_id = %s", (user_id,))
    row = await cursor.fetchone()
    if row is not None and row[0] >= MOST_CONVERSATIONS:
        raise Refused("too_many", f"You have {MOST_CONVERSATIONS:,} conversations. Delete some first.")
    return await _one_on(
        conn,
        f"INSERT INTO conversations (id, user_id, alias, title, model) VALUES (%s, %s, '', %s, '') RETURNING {_COLUMNS}",
        (new_id(), user_id, _clean(title)),
    )


async def rename_conversation(user_id: str, conversation: str, *, title: str) -> ConversationItem:
    """Give a conversation a title; Refused `not_found` for another's or a missing one."""
    found = await _resolved(user_id, conversation)
    return await _one(
        f"UPDATE conversations SET title = %s WHERE id = %s AND user_id = %s RETURNING {_COLUMNS}",
        (_clean(title), found, user_id),
    )


async def delete_conversation(user_id: str, conversation: str) -> None:
    """Delete a conversation and its turns here; its history in the workspace is the caller's to delete first.

    Raises Refused `not_found` for another's or a missing one, `busy` while one of its turns is open.
    """
    _check(conversation)
    async with connection() as conn, conn.transaction():
        await lock_conversation(conn, user_id=user_id, conversation=conversation)
        cursor = await conn.execute(
            "SELECT 1 FROM turns WHERE conversation_id = %s AND (holder IS NOT NULL"
            " OR state NOT IN ('done', 'failed', 'cancelled')) LIMIT 1",
            (conversation,),
        )
        if await cursor.fetchone():
            raise Refused("busy", "A message of this conversation is being answered. Stop it first.")
        await conn.execute(
            "DELETE FROM outbox WHERE turn_id IN (SELECT id FROM turns WHERE conversation_id = %s)", (conversation,)
        )
        for table in TABLES.values():
            await conn.execute(
                f"DELETE FROM {table} WHERE turn_id IN (SELECT id FROM turns WHERE conversation_id = %s)",
                (conversation,),
            )
        await conn.execute("DELETE FROM turns WHERE conversation_id = %s", (conversation,))
        await conn.execute("DELETE FROM conversations WHERE id = %s", (conversation,))


async def _resolved(user_id: str, conversation: str) -> str:
    """The id of a conversation that is named by it or as `main`, which is made if need be."""
    if conversation == MAIN:
        return await main_conversation(user_id)
    _check(conversation)
    return conversation


async def _lock_main(conn: Connection, user_id: str) -> str:
    """The main conversation, locked; it is made for a user's first message only."""
    for make in (False, True):
        if make:
            await ensure_main(conn, user_id)
        cursor = await conn.execute(
            "SELECT id::text FROM conversations WHERE user_id = %s AND alias = 'main' FOR NO KEY UPDATE", (user_id,)
        )
        if row := await cursor.fetchone():
            return str(row[0])
    raise missing()


async def ensure_main(conn: Connection, user_id: str) -> None:
    """Make the conversation that all channels of the user share, unless it is there."""
    await conn.execute(
        "INSERT INTO conversations (id, user_id, alias, title, model) VALUES (%s, %s, 'main', '', '')"
        " ON CONFLICT (user_id, alias) WHERE alias <> '' DO NOTHING",
        (new_id(), user_id),
    )


async def _one(statement: LiteralString, parameters: tuple[str, ...]) -> ConversationItem:
    async with connection() as conn:
        return await _one_on(conn, statement, parameters)


async def _one_on(conn: Connection, statement: LiteralString, parameters: tuple[str, ...]) -> ConversationItem:
    async with conn.cursor(row_factory=class_row(ConversationItem)) as cursor:
        await cursor.execute(statement, parameters)
        found = await cursor.fetchone()
    if found is None:
        raise missing()
    return found


def _check(conversation: str | None) -> None:
    if conversation is None or not is_id(conversation):
        raise missing()


def missing() -> Refused:
    """The refusal of another's conversation, or of one that is not there."""
    return Refused("not_found", "There is no such conversation.")


def _clean(title: str) -> str:
    return " ".join(title.split())[:MAX_TITLE]
