"""A chat that somebody opened and has not written in yet: it is greeted once, with what they may begin with."""

from dataclasses import replace

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from channels_app.channels import Channel, Inbound
from channels_app.deliveries.intake import text_letter
from channels_app.deliveries.rows import put
from gateway.db import connection

HELLO = gettext_noop(
    "Hello! I am your trading agent: I compute on market data in a workspace of your own. Ask me, or send /help."
)
# What is suggested, by the words that are shown of it; commands as everywhere, at most four of all.
PROMPTS = (
    (gettext_noop("RSI of SPX"), gettext_noop("RSI of SPX over the last 252 bars?")),
    (gettext_noop("Test a strategy"), "/analyse a crossover of moving averages on SPX"),
    (gettext_noop("What have I used?"), "/usage"),
    (gettext_noop("What can you do?"), "/help"),
)


async def greet(channel: Channel, opened: Inbound, *, user_id: str) -> str:
    """Say hello to a linked account, once in each chat, however often it is opened. What came of it, in a word.

    Who has talked on that channel is greeted in new threads alone, with what they may ask there. Raises psycopg.Error.
    """
    origin, target = f"hello:{channel.name}:{opened.sender}:{opened.opened}", channel.private(opened.target)
    prompts = [(_(title), channel.typed(text) if text.startswith("/") else _(text)) for title, text in PROMPTS]
    letter = text_letter(channel, _(HELLO), target=target, origin=origin, user_id=user_id)
    async with connection() as conn, conn.transaction():
        cursor = await conn.execute(
            "SELECT 1 FROM turns WHERE user_id = %s AND channel = %s LIMIT 1", (user_id, channel.name)
        )
        if not opened.thread and await cursor.fetchone() is not None:
            return "known"
        await put(conn, [replace(letter, parts=channel.greet(_(HELLO), prompts))])
    return "greeted"
