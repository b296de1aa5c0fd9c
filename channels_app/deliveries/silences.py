"""Where a platform shows that a message is worked on, something has to be said there in the end."""

from channels_app.channels import Channel, Inbound
from channels_app.deliveries.intake import text_letter
from channels_app.deliveries.rows import put
from gateway.db import connection


async def end_in_silence(channel: Channel, inbound: Inbound, outcome: str) -> None:
    """Say what a channel says in place of nothing; on most that is nothing, as where the reason was told. Raises psycopg.Error.

    It is nothing of the account's user's, so it is said whoever that is by now.
    """
    words, origin = channel.silence(inbound.target, outcome), f"{channel.name}:{inbound.external_id}"
    if not words:
        return
    letter = text_letter(channel, words, target=channel.private(inbound.target), origin=f"{origin}:silence")
    async with connection() as conn, conn.transaction():
        # By an attempt that died after that: those words must not be overwritten.
        cursor = await conn.execute("SELECT 1 FROM deliveries WHERE origin = %s LIMIT 1", (origin,))
        if await cursor.fetchone() is None:
            await put(conn, [letter])
