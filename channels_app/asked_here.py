"""Which of the agent's questions a chat shows to its user: what is written there may answer one (agents.plain_answers)."""

from agents.plain_answers import Shown
from channels_app.channels import Channel, Inbound
from gateway.db import Connection


async def shown_on(conn: Connection, channel: Channel, inbound: Inbound, *, user_id: str) -> Shown | None:
    """The questions that wait for an answer and have arrived in a message's private chat; None where it can be no answer."""
    cursor = await conn.execute(
        "SELECT q.id::text, bool_or(d.receipt = ANY(%(quotes)s)) FROM questions q"
        # As asking.py names its letters.
        " JOIN deliveries d ON d.origin = 'question:' || q.id || ':' || %(chat)s"
        " WHERE q.user_id = %(user)s AND q.state = 'pending' AND d.state = 'sent' GROUP BY q.id ORDER BY q.id",
        {
            "quotes": [*inbound.quotes], "user": user_id,
            "chat": f"{channel.name}:{channel.account_of(inbound.target)}",
        },
    )  # fmt: skip
    found = await cursor.fetchall()
    quoted = next((question for question, is_quoted in found if is_quoted), "")
    # Who quotes something else speaks of that; in a thread each message quotes the first.
    if not found or (inbound.quotes and not quoted and not inbound.thread):
        return None
    return Shown(ids=tuple(question for question, _ in found), quoted=quoted)
