"""What somebody wrote in a chat becomes a turn, or a sentence that says why not."""

from typing import Any

from agents import commands, transcription
from agents.errors import Refused
from agents.outbox import SHARED
from agents.turns import IncomingMessage, accept_message
from channels_app import chat_linking, drafts, greetings, inbox, threads, warmup
from channels_app.channels import Channel, Inbound, Target
from channels_app.deliveries.intake import text_letter
from channels_app.deliveries.rows import Letter, put
from gateway.db import connection

NOT_HEARD = "I can't listen to voice messages here. Write to me instead."
ASIDE = "I answer that in our private chat."
CODE_SEEN = "Send me codes in our private chat only. Others have read this one here, so make a new one."
UNREADABLE = "I can't read {kind}. I can read {reads}."
DROPPED = "I leave that: you said /stop before I had read it."
_IN_ORDER = (commands.COMMANDS["new"], commands.COMMANDS["model"])
# A chat that sends too much is told once until the limit resets, and not for each message.
LIMITS = frozenset({"rate_limited", "budget_exhausted", "not_included"})
# The shorter window: a person who goes on at its edge is not told at every message.
LEAST_SILENCE_S = 60
# Who comes back after an hour has forgotten.
MOST_SILENCE_S = 3600


async def receive(channel: Channel, inbound: Inbound) -> str:
    """Store what was written, or the reason why it is refused; what became of it, in a word.

    Raises psycopg.Error or redis.RedisError when that can't be stored; the platform must then send it again.
    """
    sender = await inbox.sender_of(channel.name, inbound.sender)
    user_id = sender.user_id
    if inbound.loose:
        return await _gather(channel, inbound, user_id=user_id)
    if user_id is None and _others_read(channel, inbound) and not channel.writes_first:
        return "hinted" if await _hint(channel, inbound) else "unlinked"
    ask = (chat_linking.parse if user_id is not None else chat_linking.parse_of_stranger)(inbound.content)
    if ask is not None:
        return await _answer_ask(channel, inbound, ask, user_id=user_id)
    if user_id is None:
        return "hinted" if await _hint(channel, inbound) else "unlinked"
    if inbound.opened:
        return await greetings.greet(channel, inbound, user_id=user_id)
    return await _take(channel, inbound, user_id=user_id, waits=sender.waits)


async def _gather(channel: Channel, inbound: Inbound, *, user_id: str | None) -> str:
    """Keep a piece of an album until it is known whether the album is said to us."""
    if user_id is None or not await inbox.keep(channel.name, inbound, user_id=user_id):
        return "ignored"
    return "gathered"


async def _answer_ask(channel: Channel, inbound: Inbound, ask: chat_linking.Ask, *, user_id: str | None) -> str:
    if ask.code and _others_read(channel, inbound):
        await _say_aside(channel, inbound, CODE_SEEN, user_id=user_id or "")
        return "link_code_seen"
    return await chat_linking.answer(channel, inbound, ask, user_id=user_id)


async def _take(channel: Channel, inbound: Inbound, *, user_id: str, waits: bool) -> str:
    if waits and commands.parse(inbound.content or "") == commands.COMMANDS["stop"]:
        await _drop_what_waits(channel, inbound, user_id=user_id)
    wanted = drafts.parse(inbound.content) if channel.draft_s else None
    if wanted is not None:
        return await drafts.answer(channel, inbound, wanted=wanted, user_id=user_id)
    if any(file.spoken for file in inbound.files) and not transcription.is_on():
        await _say(channel, inbound, NOT_HEARD, user_id=user_id)
        return "unreadable"
    if inbound.files or (waits and _keeps_its_place(inbound.content)):
        if not await inbox.keep(channel.name, inbound, user_id=user_id):
            return "duplicate"
        # While files are fetched.
        warmup.begin_for(user_id)
        return "accepted"
    if inbound.content is None:
        text = UNREADABLE.format(kind=inbound.kind or "that", reads=channel.reads)
        await _say(channel, inbound, text, user_id=user_id)
        return "unreadable"
    return await accept(channel, inbound, inbound.content, user_id=user_id)


async def _drop_what_waits(channel: Channel, inbound: Inbound, *, user_id: str) -> None:
    """Who stops means also what has not come as far as an answer."""
    async with connection() as conn, conn.transaction():
        dropped = await inbox.forget(conn, channel.name, user_id=user_id, thread=inbound.thread)
        # Each in its own place: on some platforms something shows there that it is worked on.
        letters = [
            letter_on(channel, message, DROPPED, about="lost", user_id=user_id)
            for message in dropped
            if not message.get("loose")
        ]
        await put(conn, letters)


def letter_on(channel: Channel, message: dict[str, Any], text: str, *, about: str, user_id: str) -> Letter:
    """What is said on a message that waited in the inbox, where it was written; each `about` once.

    It asks little of the message, which another version may have kept.
    """
    target, origin = message["target"], f"{channel.name}:{message['external_id']}:{about}"
    return text_letter(channel, text, target=channel.private(target), origin=origin, user_id=user_id)


def _keeps_its_place(content: str | None) -> bool:
    """Whether a message comes after those that still wait: no command does, unless it says where or how messages are answered."""
    command = commands.parse(content) if content is not None else None
    return content is not None and (command is None or command in _IN_ORDER)


async def accept(
    channel: Channel, inbound: Inbound, content: str, *, user_id: str, attachments: tuple[str, ...] = ()
) -> str:
    """A linked account's message becomes a turn, or a sentence that says why not; which, in a word. Raises as `receive`."""
    try:
        conversation = await threads.conversation_of(channel.name, inbound.thread, user_id=user_id)
        message = IncomingMessage(
            user_id=user_id,
            channel=channel.name,
            external_id=inbound.external_id,
            content=content,
            conversation=conversation,
            attachments=attachments,
            reply_to=_marked(channel, inbound),
        )
        accepted = await accept_message(message)
    except Refused as refusal:
        if refusal.code == "conflict":
            # Whatever has changed since (`/new` gives a thread another conversation), the platform sent it before.
            return "duplicate"
        told = await refuse(channel, inbound, refusal, user_id=user_id)
        return "refused" if told else "refused_again"
    # Of a duplicate, too: the first may have been stored by a process that did not come this far.
    if conversation is not None and accepted.conversation != conversation:
        thread = inbound.thread
        await threads.change_conversation(channel.name, thread, user_id=user_id, conversation=accepted.conversation)
    if inbound.aside is not None:
        await _say_aside(channel, inbound, ASIDE, user_id=user_id)
    if accepted.duplicate:
        return "duplicate"
    if accepted.licence is not None:
        warmup.begin(accepted.licence)
    return "accepted"


async def _say(channel: Channel, inbound: Inbound, text: str, *, user_id: str) -> None:
    async with connection() as conn, conn.transaction():
        await put(conn, [_letter(channel, inbound, text, user_id=user_id)])


async def _say_aside(channel: Channel, inbound: Inbound, text: str, *, user_id: str) -> None:
    """Say something where it was asked, for all to read."""
    async with connection() as conn, conn.transaction():
        await put(conn, [_aside_letter(channel, inbound, text, user_id=user_id)])


def _aside_letter(channel: Channel, inbound: Inbound, text: str, *, user_id: str) -> Letter:
    target, origin = inbound.aside or inbound.target, f"{channel.name}:{inbound.external_id}:aside"
    return text_letter(channel, text, target=target, origin=origin, user_id=user_id)


def _marked(channel: Channel, inbound: Inbound) -> Target:
    """Where to answer. What others read along is marked: nothing that the user did not ask for just now is told there."""
    target = inbound.target
    return target if channel.private(target) == target else target | {SHARED: True}


def _others_read(channel: Channel, inbound: Inbound) -> bool:
    return inbound.aside is not None or channel.private(inbound.target) != inbound.target


async def refuse(channel: Channel, inbound: Inbound, refusal: Refused, *, user_id: str) -> bool:
    """Say why a message is refused; of a limit a chat is told once until it resets, as it was told then. Whether it was said."""
    if refusal.code not in LIMITS:
        await _say(channel, inbound, refusal.message, user_id=user_id)
        return True
    letter = _letter(channel, inbound, refusal.message, user_id=user_id)
    silence_s = min(max(refusal.retry_after_s or 0, LEAST_SILENCE_S), MOST_SILENCE_S)
    async with connection() as conn, conn.transaction():
        cursor = await conn.execute(
            "INSERT INTO told_limits AS t (chat, code, until) VALUES (%s, %s, clock_timestamp() + %s * interval '1 second')"
            " ON CONFLICT (chat, code) DO UPDATE SET until = excluded.until WHERE t.until <= clock_timestamp()",
            (letter.lane, refusal.code, silence_s),
        )
        if cursor.rowcount:
            await put(conn, [letter])
    return cursor.rowcount > 0


def _letter(channel: Channel, inbound: Inbound, text: str, *, user_id: str) -> Letter:
    origin = f"{channel.name}:{inbound.external_id}"
    return text_letter(channel, text, target=channel.private(inbound.target), origin=origin, user_id=user_id)


async def _hint(channel: Channel, inbound: Inbound) -> bool:
    """Tell an account that is linked to nobody how to be; once an hour in each place, whatever it sends."""
    in_public = _others_read(channel, inbound) and not channel.writes_first
    words = chat_linking.LINK_IN_PRIVATE if in_public else chat_linking.HOW_TO_LINK
    text = chat_linking.in_words(channel, words, sender=inbound.sender)
    place = channel.chat_of(inbound.aside or inbound.target) if in_public else ""
    async with connection() as conn, conn.transaction():
        cursor = await conn.execute(
            "INSERT INTO unlinked_senders AS u (channel, sender, hinted_at) VALUES (%s, %s, clock_timestamp())"
            " ON CONFLICT (channel, sender) DO UPDATE SET hinted_at = clock_timestamp()"
            " WHERE u.hinted_at < clock_timestamp() - interval '1 hour'",
            (channel.name, f"{place}:{inbound.sender}" if place else inbound.sender),
        )
        if cursor.rowcount == 0:
            return False
        make = _aside_letter if in_public else _letter
        await put(conn, [make(channel, inbound, text, user_id="")])
    return True
