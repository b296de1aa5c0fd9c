"""Where a platform shows that a message is worked on, something has to be said there in the end."""

from channels_app.channels import Channel, Inbound
from channels_app.deliveries.intake import text_letter
from channels_app.deliveries.rows import put
from gateway.db import connection


async def end_in_silence(channel: Channel, inbound: Inbound, outcome: str) -> None:
    """Say what a channel says in place of nothing; on most that is nothing. Raises psycopg.Error.

    It is nothing of the account's user's, so it is said whoever that is by now.
    """
    words, target = channel.silence(inbound.target, outcome), channel.private(inbound.target)
    if words:
        letter = text_letter(channel, words, target=target, origin=f"{channel.name}:{inbound.external_id}:silence")
        async with connection() as conn, conn.transaction():
            await put(conn, [letter])
