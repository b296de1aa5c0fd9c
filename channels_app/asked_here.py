"""Which of the agent's questions a chat shows to its user: what is written there may answer one (agents.plain_answers)."""

from agents.plain_answers import Shown
from channels_app.channels import Channel, Inbound
from gateway.db import Connection


async def shown_on(conn: Connection, channel: Channel, inbound: Inbound, *, user_id: str) -> Shown | None:
    """The questions that wait for an answer and have arrived in a message's private chat; None where it can be no answer."""
    cursor = await conn.execute(
        "SELECT id::text FROM questions WHERE user_id = %s AND state = 'pending' ORDER BY id", (user_id,)
    )
    waiting = [row[0] for row in await cursor.fetchall()]
    if not waiting:
        return None
    account = channel.account_of(inbound.target)
    # As asking.py names its letters. Looked up by these names alone: each message comes here.
    origins = {f"question:{question}:{channel.name}:{account}": question for question in waiting}
    cursor = await conn.execute(
        "SELECT origin, receipt FROM deliveries WHERE origin = ANY(%s) AND state = 'sent'", ([*origins],)
    )
    found = [(origins[origin], receipt in inbound.quotes) for origin, receipt in await cursor.fetchall()]
    quoted = next((question for question, is_quoted in found if is_quoted), "")
    # Who quotes something else speaks of that; in a thread each message quotes the first.
    if not found or (inbound.quotes and not quoted and not inbound.thread):
        return None
    return Shown(ids=tuple({question for question, _ in found}), quoted=quoted)
