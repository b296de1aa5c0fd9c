"""What the agent and the webhooks want to say becomes delivery rows."""

import asyncio

import psycopg
import structlog
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, override

from accounts.languages import Tongues, tongues_on
from agents import outbox
from agents.markup import clean, plain
from channels_app import asking
from channels_app.channels import Channel, Part, Target, channels
from channels_app.deliveries.detours import ALERT, account_of, detoured, unasked
from channels_app.deliveries.headings import headed
from channels_app.deliveries.preview_rows import end_previews, in_place_of_preview
from channels_app.deliveries.rows import Letter, lock_lanes, origin_of, put, put_unusable
from channels_app.wording import composed, in_own_words, pictured
from gateway.db import Connection

BATCH = 10
FAILED = "failed"
FAILED_HERE = gettext_noop("I could not answer that. I tell you why in our private chat.")
DRAWN = gettext_noop("I have drawn this.")
NOTICE = "ℹ️ {}"
ON_THE_PAGE = gettext_noop("🖼 {alt} – it is shown on the web page.")
EMPTY = gettext_noop("There is no answer to show.")
STOPPED = gettext_noop("Stopped.")
# What was asked in between, and its outcome, stand in the chat; nothing was written after them.
DONE = gettext_noop("Done.")
# In place of words of an attempt that died, where the one after it asked before it wrote anything.
ASKS_FIRST = gettext_noop("I have to ask you something first.")

log = structlog.get_logger(__name__)


async def take_outbox() -> int:
    """Turn the oldest outbox rows into deliveries, in the transaction that takes them; how many were taken.

    Raises psycopg.Error when the database fails; then nothing is taken.
    """
    async with outbox.batch(limit=BATCH) as (conn, taken):
        rows = await detoured(conn, [unasked(row) for row in taken])
        # Rendering a long answer takes some 100 ms.
        tongues = await tongues_on(conn, {row.user_id for row in rows})
        made = await asyncio.to_thread(lambda: [_spoken(row, tongues) for row in rows])
        letters: list[Letter] = []
        for row, found in zip(rows, made, strict=True):
            known = found if row.kind not in outbox.EVERYWHERE else await _everywhere(conn, row, before=letters)
            if isinstance(known, str):
                await put_unusable(conn, row, error=known)
            else:
                letters += known
        await lock_lanes(conn, {letter.lane for letter in letters})
        for letter in letters:
            # One after another: what was asked before a letter decides which message it takes the place of.
            await put(conn, [await in_place_of_preview(conn, letter)])
        await end_previews(conn, letters)
    return len(taken)


async def _everywhere(conn: Connection, row: outbox.OutboxRow, *, before: list[Letter]) -> list[Letter] | str:
    """The letters of what is told in all of a user's chats, or why there can be none."""
    try:
        async with conn.transaction():
            return await asking.letters_of(conn, row, before=before)
    except psycopg.OperationalError:
        raise
    except Exception as error:
        log.exception("outbox_row_unusable", channel=row.channel, kind=row.kind, turn=row.turn)
        return f"It can't become a message ({type(error).__name__})."


def text_letter(channel: Channel, text: str, *, target: Target, origin: str, user_id: str = "") -> Letter:
    """Words of the gateway's own; the same `origin` is told once."""
    return Letter(
        origin=origin,
        channel=channel.name,
        chat=channel.chat_of(target),
        target=target,
        kind="text",
        parts=composed(channel, text),
        account=channel.account_of(target),
        user_id=user_id,
    )


def words_of(row: outbox.OutboxRow) -> str:
    """What an outbox row says to its user, in markdown."""
    told = int(row.payload.get("told", 0))
    content = str(row.payload.get("content") or "")
    said = clean(content[told:]).strip() or ("" if content else _why(row))
    if row.kind == "cancelled":
        return f"{said}\n\n*{_(STOPPED)}*" if said else _(STOPPED)
    if said:
        return _translated(row, said)
    if row.payload.get("images"):
        return _(DRAWN)
    if row.kind == outbox.SAID:
        return ""
    return _(DONE) if told else _(EMPTY)


def _translated(row: outbox.OutboxRow, said: str) -> str:
    """What the gateway says of its own, in the reader's language; a model's words stay."""
    if row.payload.get("own"):
        return in_own_words(said)
    why = clean(_why(row)).strip() if row.kind == FAILED else ""
    return said.removesuffix(why) + in_own_words(why) if why and said.endswith(why) else said


def _why(row: outbox.OutboxRow) -> str:
    return str(row.payload.get("message") or "")


def _public_words(row: outbox.OutboxRow) -> str:
    """The same where others read along: why a turn failed may tell of its user's licence."""
    words = words_of(row)
    if row.kind != FAILED:
        return words
    return f"{words.removesuffix(in_own_words(_why(row))).rstrip()}\n\n{_(FAILED_HERE)}".lstrip()


def _headed(row: outbox.OutboxRow, words: str) -> str:
    """What follows on words that were told before has no line of its own above it."""
    return words if row.payload.get("told") else headed(words, task=row.task)


def _parts(channel: Channel, row: outbox.OutboxRow, *, words: str) -> list[Part]:
    """The words, and below them the pictures; where none are shown, a line that names them."""
    images = row.payload.get("images", ())
    shown = [pictured(channel, image["url"], image["alt"]) for image in images]
    pictures = [part for part in shown if part is not None]
    named = [
        _(ON_THE_PAGE).format(alt=plain(image["alt"])) for image, part in zip(images, shown, strict=True) if not part
    ]
    told = [NOTICE.format(plain(_(text))) for text in row.payload.get("notices", ())]
    return [*composed(channel, words, below=[*named, *told]), *pictures]


def _is_said(channel: Channel, row: outbox.OutboxRow) -> bool:
    """Whether a command tells in the same chat that the turn was stopped, before it had written anything."""
    where = row.payload.get("said_in")
    if where is None or row.payload.get("content") or where["channel"] != row.channel:
        return False
    same_chat = channel.chat_of(where["reply_to"]) == channel.chat_of(row.reply_to)
    return same_chat and not channel.waits_for_word(row.reply_to)


def _spoken(row: outbox.OutboxRow, tongues: Tongues) -> list[Letter] | str:
    """The same as `_letters`, in the language of whom it is for."""
    with override(tongues.of(row.user_id, channel=row.channel, account=account_of(row) or "")):
        return _letters(row)


def _letters(row: outbox.OutboxRow) -> list[Letter] | str:
    """The row's letters, or why it can't become one: then it holds up no other. What is told everywhere is asking.py's."""
    if row.kind in outbox.EVERYWHERE:
        return []
    try:
        channel = channels()[row.channel]
        # An alert answers nothing that was said there, and is nobody else's business.
        private = channel.private(row.reply_to)
        target = private if row.kind == ALERT else row.reply_to
        shared = target != private
        words = _public_words(row) if shared else words_of(row)
        nothing_said = row.kind == outbox.SAID and not words and not row.payload.get("notices")
        letter = Letter(
            origin=origin_of(row),
            channel=row.channel,
            chat=channel.chat_of(target),
            target=target,
            kind=row.kind,
            parts=_parts(channel, row, words=_(ASKS_FIRST) if nothing_said else _headed(row, words)),
            account=channel.account_of(target),
            user_id=row.user_id,
            turn=row.turn,
            only_in_place=nothing_said or _is_said(channel, row),
            urgent=bool(row.payload.get("urgent")),
        )
    except Exception as error:
        log.exception("outbox_row_unusable", channel=row.channel, kind=row.kind, turn=row.turn)
        return f"It can't become a message ({type(error).__name__})."
    if not shared or row.kind != FAILED:
        return [letter]
    origin = f"{letter.origin}:why"
    return [letter, text_letter(channel, in_own_words(_why(row)), target=private, origin=origin, user_id=row.user_id)]
