"""What comes by itself, for a chat that speaks for its user no more: it is told in their other chats, and where it was to be.

Where there is no other, the web page alone has it, as it has everything.
"""

from collections.abc import Sequence
from dataclasses import replace

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, override

from accounts.channel_names import channel_label
from accounts.languages import tongues_on
from agents.outbox import EVERYWHERE, SAID, OutboxRow
from channels_app.channels import Target, channel_that_is_on, channels
from gateway.db import Connection

# The kind of those whose receipt the agent waits for.
ALERT = "alert"
NOTE = gettext_noop(
    "This was to be told in {label}, where I don't reach you any more. Choose another place on your account page, or with"
    " /alert and /schedule."
)


async def detoured(conn: Connection, rows: Sequence[OutboxRow]) -> list[OutboxRow]:
    """The rows, those for a dead chat once for each other chat of their user."""
    found: list[OutboxRow] = []
    for row in rows:
        found += await _detoured(conn, row) if _comes_by_itself(row) else [row]
    return found


def unasked(row: OutboxRow) -> OutboxRow:
    """The row; of what comes by itself, in answer to nothing, since the message that once wished for it is long read."""
    if row.kind != ALERT and row.begun_by is None:
        return row
    return replace(row, reply_to=unasked_target(row.channel, row.reply_to))


def unasked_target(channel: str, target: Target) -> Target:
    """Where a channel, if there still is one of that name, tells what comes by itself."""
    known = channels().get(channel)
    return target if known is None else known.unasked(target)


def _comes_by_itself(row: OutboxRow) -> bool:
    """An alert, and what a task has to say; not what tells only that its turn waits for its user, which is asked everywhere."""
    says_nothing = row.kind == SAID and not row.payload.get("content")
    return row.kind == ALERT or (row.begun_by is not None and row.kind not in EVERYWHERE and not says_nothing)


async def _detoured(conn: Connection, row: OutboxRow) -> list[OutboxRow]:
    cursor = await conn.execute(
        "SELECT channel_type, channel_user_id FROM user_channel_links WHERE user_id = %s ORDER BY created_at, id",
        (row.user_id,),
    )
    linked = await cursor.fetchall()
    own = account_of(row)
    if own is None or (row.channel, own) in linked:
        return [row]
    tongues, others = await tongues_on(conn, [row.user_id]), []
    for name, account in linked:
        if (channel := channel_that_is_on(name)) is not None:
            with override(tongues.of(row.user_id, channel=name, account=account)):
                note = _(NOTE).format(label=channel_label(row.channel))
            payload = row.payload | {"notices": [*row.payload.get("notices", ()), note]}
            target, number = channel.target_of(account), f"{row.id}:{name}:{account}"
            others.append(replace(row, id=number, channel=name, reply_to=target, payload=payload))
    return others or [row]


def account_of(row: OutboxRow) -> str | None:
    """Whom a row is for in its channel; None for one that can't become a message anywhere."""
    try:
        return channels()[row.channel].account_of(row.reply_to)
    except (LookupError, TypeError, ValueError):
        return None
