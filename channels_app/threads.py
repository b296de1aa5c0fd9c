"""A thread of a chat platform is a conversation of whoever writes in it."""

from agents.conversations import create_conversation_on
from gateway.db import Connection, connection


async def conversation_on(conn: Connection, channel: str, thread: str, *, user_id: str) -> str | None:
    """The id of the user's conversation in a thread, begun at the first message there, in the caller's transaction.

    None (the main one) without a thread. Of one that was deleted a new one begins. Raises Refused `too_many`.
    """
    if not thread:
        return None
    key = (channel, thread, user_id)
    # Two first messages at once begin one conversation.
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", ("\n".join(key),))
    cursor = await conn.execute(
        "SELECT c.id::text FROM chat_threads t JOIN conversations c ON c.id = t.conversation_id AND c.user_id = t.user_id"
        " WHERE t.channel = %s AND t.thread = %s AND t.user_id = %s",
        key,
    )
    row = await cursor.fetchone()
    if row is not None:
        return str(row[0])
    conversation = (await create_conversation_on(conn, user_id)).id
    await conn.execute(
        "INSERT INTO chat_threads (channel, thread, user_id, conversation_id) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (channel, thread, user_id) DO UPDATE SET conversation_id = excluded.conversation_id",
        (*key, conversation),
    )
    return conversation


async def change_conversation_on(
    conn: Connection, channel: str, thread: str, *, user_id: str, conversation: str
) -> None:
    """What the user writes in a thread belongs to another conversation of theirs from now on."""
    await conn.execute(
        "UPDATE chat_threads SET conversation_id = %s WHERE channel = %s AND thread = %s AND user_id = %s",
        (conversation, channel, thread, user_id),
    )


async def move(channel: str, *, old: str, new: str) -> None:
    """Threads whose keys began with `old` begin with `new`; again is no error."""
    async with connection() as conn:
        await conn.execute(
            "UPDATE chat_threads t SET thread = %(new)s || substr(t.thread, length(%(old)s) + 1)"
            " WHERE t.channel = %(channel)s AND starts_with(t.thread, %(old)s) AND NOT EXISTS (SELECT 1 FROM chat_threads o"
            " WHERE o.channel = t.channel AND o.user_id = t.user_id"
            " AND o.thread = %(new)s || substr(t.thread, length(%(old)s) + 1))",
            {"channel": channel, "old": old, "new": new},
        )
