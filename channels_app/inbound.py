"""What somebody wrote in a chat becomes a turn, or a sentence that says why not."""

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, override

from accounts.languages import note_told
from agents import commands, transcription
from agents.errors import Refused
from channels_app import chat_linking, drafts, greetings, inbox, warmup
from channels_app.accepting import Said, accept, refuse
from channels_app.channels import Channel, Inbound
from channels_app.deliveries.rows import put
from channels_app.inbox import Sender
from channels_app.replies import aside_letter, letter, letter_on, others_read, say
from gateway.db import connection

NOT_HEARD = gettext_noop("I can't listen to voice messages here. Write to me instead.")
THAT = gettext_noop("that")
UNREADABLE = gettext_noop("I can't read {kind}. I can read {reads}.")
HEARD = gettext_noop(" I can listen to voice messages, too.")
DROPPED = gettext_noop("I leave that: you said /stop before I had read it.")
DROPPED_ALL = gettext_noop("I leave {number} messages: you said /stop before I had read them.")
_IN_ORDER = (commands.COMMANDS["new"], commands.COMMANDS["model"])


async def receive(channel: Channel, inbound: Inbound) -> str:
    """Store what was written, or the reason why it is refused; what became of it, in a word.

    Raises psycopg.Error or redis.RedisError when that can't be stored; the platform must then send it again.
    """
    sender = await inbox.sender_of(channel.name, inbound.sender, external_id=inbound.external_id)
    with override(sender.chosen or inbound.language or sender.told or settings.LANGUAGE_CODE):
        outcome = await _receive(channel, inbound, sender)
    if sender.user_id is not None and inbound.language not in {"", sender.told}:
        await note_told(channel.name, inbound.sender, language=inbound.language)
    return outcome


async def _receive(channel: Channel, inbound: Inbound, sender: Sender) -> str:
    user_id = sender.user_id
    if inbound.loose:
        return await _gather(channel, inbound, user_id=user_id)
    public = others_read(channel, inbound)
    if public and await chat_linking.void(channel, inbound, user_id=user_id):
        return "link_code_seen"
    ask = (chat_linking.parse if user_id is not None else chat_linking.parse_of_stranger)(inbound.content)
    # Where others read along, strangers may ask only what is answered in private.
    if ask and (user_id is not None or not public or (channel.writes_first and not ask.code)):
        return await chat_linking.answer(channel, inbound, ask, user_id=user_id)
    if user_id is None:
        return "hinted" if await _hint(channel, inbound) else "unlinked"
    if inbound.opened:
        return await greetings.greet(channel, inbound, user_id=user_id)
    # Also one that /stop has dropped.
    return "duplicate" if sender.posted else await _take(channel, inbound, sender, user_id=user_id)


async def _gather(channel: Channel, inbound: Inbound, *, user_id: str | None) -> str:
    """Keep a piece of an album until it is known whether the album is said to us."""
    try:
        kept = user_id is not None and await inbox.keep(channel.name, inbound, user_id=user_id)
    except Refused:
        # Nobody said it to us, so nobody is told.
        kept = False
    return "gathered" if kept else "ignored"


async def _take(channel: Channel, inbound: Inbound, sender: Sender, *, user_id: str) -> str:
    if sender.waits and commands.parse(inbound.content or "") == commands.COMMANDS["stop"]:
        await _drop_what_waits(channel, inbound, user_id=user_id)
    wanted = drafts.parse(inbound.content) if channel.draft_s else None
    if wanted is not None:
        return await drafts.answer(channel, inbound, wanted=wanted, user_id=user_id)
    if _holds_only_speech(inbound) and not transcription.is_on():
        await say([letter(channel, inbound, _(NOT_HEARD), user_id=user_id)])
        return "unreadable"
    if inbound.files or (sender.waits and _keeps_its_place(inbound.content)):
        return await _keep(channel, inbound, user_id=user_id)
    if inbound.content is None:
        text = _(UNREADABLE).format(kind=_(inbound.kind or THAT), reads=_(channel.reads))
        text += _(HEARD) if channel.hears and transcription.is_on() else ""
        await say([letter(channel, inbound, text, user_id=user_id)])
        return "unreadable"
    said = Said(channel=channel, inbound=inbound, user_id=user_id, content=inbound.content, asked=sender.asked)
    return await accept(said)


async def _keep(channel: Channel, inbound: Inbound, *, user_id: str) -> str:
    """Have a message wait for its files, or for the one before it."""
    try:
        if not await inbox.keep(channel.name, inbound, user_id=user_id):
            return "duplicate"
    except Refused as refusal:
        return await refuse(Said(channel=channel, inbound=inbound, user_id=user_id), refusal)
    # While files are fetched.
    warmup.begin_for(user_id)
    return "accepted"


def _holds_only_speech(inbound: Inbound) -> bool:
    return bool(inbound.files) and not inbound.content and all(file.spoken for file in inbound.files)


async def _drop_what_waits(channel: Channel, inbound: Inbound, *, user_id: str) -> None:
    """Who stops means also what has not come as far as an answer."""
    async with connection() as conn, conn.transaction():
        dropped = await inbox.forget(conn, channel.name, user_id=user_id, thread=inbound.thread)
        meant = [message for message in dropped if not message.get("loose")]
        apart = [message for message in meant if channel.waits_for_word(message["target"])]
        letters = [letter_on(channel, message, _(DROPPED), about="lost", user_id=user_id) for message in apart]
        if number := len(meant) - len(apart):
            words = _(DROPPED) if number == 1 else _(DROPPED_ALL).format(number=number)
            stop = {"target": inbound.target, "external_id": inbound.external_id}
            letters.append(letter_on(channel, stop, words, about="dropped", user_id=user_id))
        await put(conn, letters)


def _keeps_its_place(content: str | None) -> bool:
    """Whether a message comes after those that still wait: no command does, unless it says where or how messages are answered."""
    command = commands.parse(content) if content is not None else None
    return content is not None and (command is None or command in _IN_ORDER)


async def _hint(channel: Channel, inbound: Inbound) -> bool:
    """Tell an account that is linked to nobody how to be; once an hour in each place, whatever it sends."""
    in_public = others_read(channel, inbound) and not channel.writes_first
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
        make = aside_letter if in_public else letter
        await put(conn, [make(channel, inbound, text, user_id="")])
    return True
