"""What waits for a user, in each chat that speaks for them: asked with buttons, and later shown with its outcome.

An approval or question is asked in the chat that its turn came from and in every other linked one, wherever the turn was
asked; its outcome takes the place of each of those messages.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, override
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from accounts.languages import Tongues, tongues_on
from agents.forms import buttons as form_buttons
from agents.outbox import OutboxRow
from channels_app import asking_words as words
from channels_app.channels import Button, Channel, Target, channel_that_is_on
from channels_app.deliveries.rows import Letter
from channels_app.wording import composed, with_buttons
from gateway.db import Connection

ASKING = {"approval": "approval", "question": "question"}
SETTLING = {"approval_settled": "approval", "question_settled": "question"}
# 128 bits, which nobody guesses; Telegram takes 64 bytes.
TOKEN_BYTES = 16
# What an answer's buttons end with: values of null decline.
_SKIP = (gettext_noop("Don't answer"), None)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A message that asks something, by its origin, and where it is."""

    origin: str
    channel: str
    target: Target
    account: str


async def letters_of(conn: Connection, row: OutboxRow, *, before: Sequence[Letter]) -> list[Letter]:
    """The letters of a row of outbox.EVERYWHERE, and the buttons under them, in the caller's transaction.

    `before`: what that transaction has still to write, of earlier rows.
    """
    tongues = await tongues_on(conn, [row.user_id])
    if row.kind in ASKING:
        main = row.kind == "question" and await _in_main(conn, row)
        letters = []
        for channel, target in await _chats(conn, row):
            here = main or (channel.name == row.channel and target == row.reply_to)
            with override(tongues.of(row.user_id, channel=channel.name, account=channel.account_of(target))):
                letters.append(await _ask(conn, row, channel, target, ways=_ways(channel, here=here)))
        return [*_aside(row, tongues), *letters]
    return await _settle(conn, row, tongues, before=before)


def _aside(row: OutboxRow, tongues: Tongues) -> list[Letter]:
    """Where others read along, that something was asked in private."""
    channel = channel_that_is_on(row.channel)
    if channel is None or channel.private(row.reply_to) == row.reply_to:
        return []
    account = channel.account_of(row.reply_to)
    with override(tongues.of(row.user_id, channel=channel.name, account=account)):
        parts = composed(channel, _(words.ASKED_IN_PRIVATE))
    return [
        Letter(
            origin=f"aside:{row.kind}:{row.payload[row.kind]}",
            channel=channel.name,
            chat=channel.chat_of(row.reply_to),
            target=row.reply_to,
            kind="text",
            parts=parts,
            account=account,
            user_id=row.user_id,
            turn=row.turn,
        )
    ]


async def _chats(conn: Connection, row: OutboxRow) -> list[tuple[Channel, Target]]:
    """The chat that the turn came from, and the user's other linked ones."""
    chats: list[tuple[Channel, Target]] = []
    own = channel_that_is_on(row.channel)
    if own is not None:
        # What is decided is the user's own affair, also when the turn was asked where others read along.
        chats.append((own, own.private(row.reply_to)))
    known = {(channel.name, channel.account_of(target)) for channel, target in chats}
    cursor = await conn.execute(
        "SELECT channel_type, channel_user_id FROM user_channel_links WHERE user_id = %s ORDER BY created_at, id",
        (row.user_id,),
    )
    for name, account in await cursor.fetchall():
        channel = channel_that_is_on(name)
        if channel is not None and (name, account) not in known:
            chats.append((channel, channel.target_of(account)))
    return chats


def _ways(channel: Channel, *, here: bool) -> list[str]:
    """How a question for words is answered in a chat but by command; `here`: what is written there is of its conversation."""
    return [words.WRITE] * (here and channel.hears_all) + [words.REPLY] * channel.tells_replies


async def _in_main(conn: Connection, row: OutboxRow) -> bool:
    """Whether each chat goes on with the conversation that it is asked in."""
    cursor = await conn.execute(
        "SELECT 1 FROM turns t JOIN conversations c ON c.id = t.conversation_id WHERE t.id = %s AND c.alias = 'main'",
        (row.turn,),
    )
    return await cursor.fetchone() is not None


async def _ask(conn: Connection, row: OutboxRow, channel: Channel, target: Target, *, ways: Sequence[str]) -> Letter:  # noqa: PLR0917 - one chat
    kind, subject = row.kind, str(row.payload[row.kind])
    choices: list[tuple[str, Any]] = [(_("Approve"), "approve"), (_("Reject"), "reject")]
    if kind == "question":
        listed = form_buttons(row.payload["schema"])
        choices = [*listed, (_(_SKIP[0]), _SKIP[1])] if listed else []
    account = channel.account_of(target)
    made = []
    for label, choice in choices:
        token = secrets.token_urlsafe(TOKEN_BYTES)
        await conn.execute(
            "INSERT INTO chat_buttons (token, user_id, channel, account, kind, subject, choice, digest)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            (token, row.user_id, channel.name, account, kind, subject, Jsonb(choice), row.payload.get("digest", "")),
        )
        made.append(Button(label, token))
    text = (
        words.approval(row.payload)
        if kind == "approval"
        else words.question(row.payload, with_buttons=bool(made), ways=ways)
    )
    return Letter(
        origin=f"{kind}:{subject}:{channel.name}:{account}",
        channel=channel.name,
        chat=channel.chat_of(target),
        target=target,
        kind=kind,
        parts=with_buttons(channel, text, made),
        account=account,
        user_id=row.user_id,
        turn=row.turn,
    )


async def _settle(conn: Connection, row: OutboxRow, tongues: Tongues, *, before: Sequence[Letter]) -> list[Letter]:
    kind = SETTLING[row.kind]
    letters = []
    for asked in await _asked(conn, kind, str(row.payload[kind]), before=before):
        channel = channel_that_is_on(asked.channel)
        if channel is None:
            continue
        with override(tongues.of(row.user_id, channel=asked.channel, account=asked.account)):
            parts = _in_one(channel, row.payload)
        letters.append(
            Letter(
                origin=f"settled:{asked.origin}",
                channel=channel.name,
                chat=channel.chat_of(asked.target),
                target=asked.target,
                kind=row.kind,
                parts=parts,
                account=asked.account,
                user_id=row.user_id,
                turn=row.turn,
                edits=asked.origin,
            )
        )
    return letters


async def _asked(conn: Connection, kind: str, subject: str, *, before: Sequence[Letter]) -> list[_Asked]:
    """Where something was asked, and where it is about to be."""
    asked = f"{kind}:{subject}:"
    async with conn.cursor(row_factory=class_row(_Asked)) as cursor:
        await cursor.execute(
            "SELECT DISTINCT ON (origin) origin, channel, target, account FROM deliveries"
            " WHERE origin >= %s AND origin < %s AND kind = %s ORDER BY origin, part",
            # Every origin that begins so: `;` is the character after `:`.
            (asked, asked[:-1] + ";", kind),
        )
        found = await cursor.fetchall()
    known = {each.origin for each in found}
    coming = [letter for letter in before if letter.origin.startswith(asked) and letter.origin not in known]
    return [*found, *(_Asked(letter.origin, letter.channel, letter.target, letter.account) for letter in coming)]


def _in_one(channel: Channel, payload: dict[str, Any]) -> list[dict[str, Any]]:
    """The outcome as the one message that takes the other's place: with what was asked, if that fits."""
    parts = composed(channel, words.settled(payload))
    return parts if len(parts) == 1 else composed(channel, words.settled(payload, short=True))[:1]
