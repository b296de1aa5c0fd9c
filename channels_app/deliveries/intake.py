"""What the agent and the webhooks want to say becomes delivery rows."""

import structlog

from agents import outbox
from channels_app.channels import Channel, Target, channels
from channels_app.deliveries.rows import Letter, put

BATCH = 10
EMPTY = "There is no answer to show."
STOPPED = "Stopped."

log = structlog.get_logger(__name__)


async def take_outbox() -> int:
    """Turn the oldest outbox rows into deliveries, in the transaction that takes them; how many were taken.

    Raises psycopg.Error when the database fails; then nothing is taken.
    """
    async with outbox.batch(limit=BATCH) as (conn, rows):
        letters = [letter for row in rows if (letter := _letter(row)) is not None]
        if letters:
            await put(conn, letters)
    return len(rows)


def text_letter(channel: Channel, text: str, *, target: Target, origin: str, user_id: str = "") -> Letter:
    """Words of the gateway's own; the same `origin` is told once."""
    return Letter(
        origin=origin,
        channel=channel.name,
        chat=channel.chat_of(target),
        target=target,
        kind="text",
        parts=channel.compose(text),
        user_id=user_id,
    )


def words_of(row: outbox.OutboxRow) -> str:
    """What an outbox row says to its user, in markdown."""
    said = str(row.payload.get("content") or row.payload.get("message") or "").strip()
    if row.kind == "cancelled":
        return f"{said}\n\n*{STOPPED}*" if said else STOPPED
    return said or EMPTY


def _letter(row: outbox.OutboxRow) -> Letter | None:
    """The row's letter; None for a row that can't become one, so that it holds up no other."""
    try:
        channel = channels()[row.channel]
        return Letter(
            origin=f"outbox:{row.id}",
            channel=row.channel,
            chat=channel.chat_of(row.reply_to),
            target=row.reply_to,
            kind=row.kind,
            parts=channel.compose(words_of(row)),
            user_id=row.user_id,
            turn=row.turn,
        )
    except Exception:
        log.exception("outbox_row_unusable", channel=row.channel, kind=row.kind, turn=row.turn)
        return None
