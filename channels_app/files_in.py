"""Fetch the files of a message from their platform, and have it answered; what is spoken is answered as words."""

from collections.abc import Sequence
from dataclasses import replace

import psycopg
import structlog
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, override
from redis.exceptions import RedisError

from accounts.languages import language_of
from accounts.links import user_of
from agents import transcription
from agents.admission import check_quota
from agents.errors import AgentFailed, Refused
from agents.markup import plain
from agents.uploads import MOST_BYTES, add_upload_on
from channels_app import inbox, metrics
from channels_app.accepting import Said, accept, refuse
from channels_app.channels import Channel, File, channels
from channels_app.deliveries.rows import Letter, put
from channels_app.errors import DeliveryError, TooLarge
from channels_app.inbox import Kept, Outcome
from channels_app.replies import LIMITS, letter_on
from gateway.db import connection

# Of one message; the rest is named as not taken.
MOST_FILES = 5
NOT_TAKEN = gettext_noop("I could not take {name}: {reason}")
NOT_FETCHED = gettext_noop("it could not be fetched.")
DEAF = gettext_noop("I can't listen here.")
SILENCE = gettext_noop("I hear no words in it.")
TOO_MANY = gettext_noop("a message has at most {most} files.")
WITHOUT_WORDS = gettext_noop("Here is {names}.")
LOST = gettext_noop("Something went wrong here, and your message was not taken. Send it again.")
UNLINKED = gettext_noop("I did not take this message: its account was unlinked before I had read it.")
TOO_LATE = gettext_noop("I could not take this message within a day. Send it again if you still want an answer.")

# Nothing was lost then: the message is taken anew.
AWAY = (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction, RedisError)

log = structlog.get_logger(__name__)


class _Later(Exception):
    """A file may be there in a moment."""


async def take(kept: Kept) -> None:
    """Have a message answered, put it off, or give it up and say so. Raises those of AWAY, upon which it waits as before."""
    account = str(kept.message.get("sender", ""))
    try:
        with override(await language_of(kept.user_id, channel=kept.channel, account=account)):
            outcome = await _take(kept)
    except inbox.Lost:
        # `/stop`, or another process that took it over.
        log.info("inbox_claim_lost", channel=kept.channel, message=kept.id)
        outcome = "dropped"
    metrics.inbox.labels(channel=kept.channel, outcome=outcome).inc()


async def _take(kept: Kept) -> str:
    """The same; what became of it, in a word. Raises also Lost."""
    try:
        return await _answer(kept)
    except _Later:
        await inbox.try_later(kept)
        return "later"
    except (inbox.Lost, *AWAY):
        raise
    except Exception:  # a fault of ours must hold up no other message
        log.exception("files_crashed", channel=kept.channel, message=kept.id, attempt=kept.attempts)
    if not kept.last_attempt:
        await inbox.try_later(kept)
        return "later"
    return await _give_up(kept, LOST)


async def _answer(kept: Kept) -> str:
    """Raises _Later and Lost."""
    if kept.loose:
        # Of an album that was said to others.
        return await _end(kept)
    if kept.hopeless:
        log.warning("message_given_up", channel=kept.channel, message=kept.id, attempts=kept.attempts)
        return await _give_up(kept, TOO_LATE if kept.too_old else LOST)
    channel = channels()[kept.channel]
    if await user_of(channel.name, kept.inbound.sender) != kept.user_id:
        return await _end(kept, _unlinked(channel, kept))
    return await _accept(channel, kept)


def _unlinked(channel: Channel, kept: Kept) -> list[Letter]:
    """What the account is told, which speaks for nobody or another by now: nothing, but where something shows until it is."""
    if not channel.waits_for_word(kept.inbound.target):
        return []
    return [letter_on(channel, kept.message, _(UNLINKED), about="lost", user_id="")]


async def _give_up(kept: Kept, words: str) -> str:
    """Say so, where there is a place to."""
    letters = []
    try:
        letters = [letter_on(channels()[kept.channel], kept.message, _(words), about="lost", user_id=kept.user_id)]
    except (AttributeError, LookupError, TypeError, ValueError):
        # Kept by another version, or of a channel that is no more.
        log.exception("message_lost", channel=kept.channel, message=kept.id)
    await _end(kept, letters)
    return "given_up"


async def _end(kept: Kept, letters: Sequence[Letter] = ()) -> str:
    """No turn comes of it."""
    async with connection() as conn, conn.transaction():
        await inbox.finish(conn, kept)
        await put(conn, [*letters])
    return "taken"


async def _accept(channel: Channel, kept: Kept) -> str:
    inbound = kept.inbound
    said = Said(channel=channel, inbound=inbound, user_id=kept.user_id, kept=kept)
    try:
        if inbound.files:
            # Nothing is fetched for a message that would be refused.
            await check_quota(kept.user_id, channel=channel.name)
        outcomes = await _take_each(channel, kept)
    except Refused as refused:
        await refuse(said, refused)
        return "taken"
    notes = _notes(channel, kept, outcomes)
    heard, uploads = _all(outcomes, "heard"), _all(outcomes, "upload")
    words = [each for each in (inbound.content, *heard) if each]
    if uploads or words:
        content = "\n\n".join(words) or _(WITHOUT_WORDS).format(names=", ".join(file.name for file in inbound.files))
        await accept(replace(said, content=content, attachments=tuple(uploads), notes=notes))
        return "taken"
    if _all(outcomes, "unheard"):
        await transcription.count_message(kept.user_id, channel=channel.name)
    return await _end(kept, notes)


def _notes(channel: Channel, kept: Kept, outcomes: list[Outcome]) -> tuple[Letter, ...]:
    """What is said of the files, quoting the message: what was not taken, and what was heard."""
    said = {
        "files": "\n\n".join(_all(outcomes, "refused", "unheard")),
        "heard": "\n\n".join(f"> {plain(text)}" for text in _all(outcomes, "heard")),
    }
    letters, message = [], kept.message
    for about, text in said.items():
        if text:
            letters.append(letter_on(channel, message, text, about=about, user_id=kept.user_id))
            message = message | {"target": channel.answered(message["target"])}
    return tuple(letters)


def _all(outcomes: list[Outcome], *kinds: str) -> list[str]:
    return [outcome.value for outcome in outcomes if outcome.kind in kinds]


async def _take_each(channel: Channel, kept: Kept) -> list[Outcome]:
    """What became of each file. Raises _Later and Lost, and Refused for what the message itself may not."""
    found = kept.outcomes
    for place, file in enumerate(kept.inbound.files):
        if place in found:
            continue
        try:
            content = await _fetch(channel, file, kept, allowed=place < MOST_FILES)
            found[place] = await (_hear if file.spoken else _store)(channel, kept, place, content=content)
        except Refused as refused:
            if refused.code in LIMITS:
                raise
            sentence = _(NOT_TAKEN).format(name=file.name, reason=_(refused.message))
            found[place] = await _note(kept, Outcome(place, "refused", sentence))
    return [found[place] for place in sorted(found)]


async def _note(kept: Kept, outcome: Outcome) -> Outcome:
    async with connection() as conn, conn.transaction():
        await inbox.note(conn, kept, outcome)
    return outcome


async def _fetch(channel: Channel, file: File, kept: Kept, *, allowed: bool) -> bytes:
    """The file. Raises Refused, and _Later."""
    if not allowed:
        raise Refused("too_many", _(TOO_MANY).format(most=MOST_FILES))
    if file.spoken and not transcription.is_on():
        raise Refused("not_available", DEAF)
    try:
        return await channel.fetch(file, most_bytes=MOST_BYTES)
    except TooLarge as error:
        raise Refused("too_large", _("a file has at most {most} bytes.").format(most=f"{MOST_BYTES:,}")) from error
    except DeliveryError as error:
        log.warning("file_not_fetched", channel=channel.name, cause=error.cause, attempt=kept.attempts)
        if error.permanent or kept.last_attempt:
            raise Refused("invalid", NOT_FETCHED) from error
        raise _Later from error


async def _store(channel: Channel, kept: Kept, place: int, *, content: bytes) -> Outcome:
    """Keep a file for the message to come, once. Raises Refused and Lost."""
    name = kept.inbound.files[place].name
    async with connection() as conn, conn.transaction():
        await inbox.hold(conn, kept)
        upload = await add_upload_on(conn, kept.user_id, name=name, content=content, channel=channel.name)
        outcome = Outcome(place, "upload", upload.id)
        await inbox.note(conn, kept, outcome)
    return outcome


async def _hear(channel: Channel, kept: Kept, place: int, *, content: bytes) -> Outcome:
    """What is said in a file, bought once. Raises Refused, _Later and Lost."""
    name = kept.inbound.files[place].name
    try:
        words = await transcription.hear(content, name=name, user_id=kept.user_id, channel=channel.name)
    except AgentFailed as error:
        if error.retryable and not kept.last_attempt:
            raise _Later from error
        return await _note(kept, Outcome(place, "unheard", _(NOT_TAKEN).format(name=name, reason=_(error.message))))
    # A command is typed, whatever a model makes of what it hears.
    words = words.lstrip("/ ")
    silence = Outcome(place, "unheard", _(NOT_TAKEN).format(name=name, reason=_(SILENCE)))
    return await _note(kept, Outcome(place, "heard", words) if words else silence)
