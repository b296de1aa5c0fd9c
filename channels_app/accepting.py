"""What somebody said becomes a turn, or a sentence that says why not: in one transaction, with the row that it waited in."""

from dataclasses import dataclass, replace

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from agents.errors import Refused
from agents.outbox import SHARED
from agents.plain_answers import Shown
from agents.to_the_end import to_the_end
from agents.turns import Accepted, IncomingMessage, accept_any_on, facts_of
from channels_app import asked_here, inbox, threads, warmup
from channels_app.channels import Channel, Inbound, Target
from channels_app.deliveries.rows import Letter, put
from channels_app.inbox import Kept
from channels_app.replies import aside_letter, letter, refuse_on
from gateway.db import Connection, connection

ASIDE = gettext_noop("I answer that in our private chat.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A linked account's message. `kept` is the row in which it waited, `notes` what is said of its files.

    `asked`: a question of the agent may wait for its user.
    """

    channel: Channel
    inbound: Inbound
    user_id: str
    content: str = ""
    attachments: tuple[str, ...] = ()
    notes: tuple[Letter, ...] = ()
    kept: Kept | None = None
    asked: bool = True


async def accept(said: Said) -> str:
    """Store a turn, or the reason why there is none; which, in a word. Raises as `inbound.receive`, and inbox.Lost."""
    try:
        # A turn that is claimed as it is stored must also be begun.
        accepted = await to_the_end(_store(said))
    except Refused as refusal:
        return await refuse(said, refusal)
    if accepted.duplicate:
        return "duplicate"
    if accepted.licence is not None:
        warmup.begin(accepted.licence)
    return "accepted"


async def refuse(said: Said, refusal: Refused) -> str:
    """Say why there is no turn, unless the chat knows; which, in a word. Raises as `accept`."""
    # Whatever has changed since (`/new` gives a thread another conversation), the platform sent it before.
    before = refusal.code == "conflict"
    words = letter(said.channel, said.inbound, _(refusal.message), user_id=said.user_id)
    async with connection() as conn, conn.transaction():
        if said.kept is not None:
            await inbox.finish(conn, said.kept)
        told = not before and await refuse_on(conn, refusal, words, always=_waits_for_word(said))
    return "duplicate" if before else "refused" if told else "refused_again"


def _waits_for_word(said: Said) -> bool:
    """Whether the message was acknowledged, and something shows since then that it is worked on."""
    return said.kept is not None and said.channel.waits_for_word(said.inbound.target)


async def _store(said: Said) -> Accepted:
    message = _message(said)
    facts = await facts_of(message)
    async with connection() as conn, conn.transaction():
        if said.kept is not None:
            await inbox.hold(conn, said.kept)
        conversation = await _conversation_on(conn, said)
        shown = await _shown_on(conn, said)
        accepted, begin = await accept_any_on(
            conn, replace(message, conversation=conversation, shown=shown), facts=facts
        )
        if conversation is not None and accepted.conversation != conversation:
            await threads.change_conversation_on(
                conn, said.channel.name, said.inbound.thread, user_id=said.user_id, conversation=accepted.conversation
            )
        if letters := _letters(said):
            await put(conn, letters)
        if said.kept is not None:
            await inbox.finish(conn, said.kept)
    await begin()
    return accepted


def _message(said: Said) -> IncomingMessage:
    return IncomingMessage(
        user_id=said.user_id,
        channel=said.channel.name,
        external_id=said.inbound.external_id,
        content=said.content,
        attachments=said.attachments,
        reply_to=_marked(said.channel, _target(said)),
    )


async def _conversation_on(conn: Connection, said: Said) -> str | None:
    return await threads.conversation_on(conn, said.channel.name, said.inbound.thread, user_id=said.user_id)


async def _shown_on(conn: Connection, said: Said) -> Shown | None:
    """What the words may answer: never where others read along, and only by a quote where they may be older than the question."""
    alone = said.channel.private(said.inbound.target) == said.inbound.target
    if not said.asked or not alone or said.inbound.files:
        return None
    shown = await asked_here.shown_on(conn, said.channel, said.inbound, user_id=said.user_id)
    return shown if said.kept is None or shown is None or shown.quoted else None


def _letters(said: Said) -> list[Letter]:
    if said.inbound.aside is None:
        return [*said.notes]
    return [*said.notes, aside_letter(said.channel, said.inbound, _(ASIDE), user_id=said.user_id)]


def _target(said: Said) -> Target:
    """Where to answer, below the notes."""
    target = said.inbound.target
    return said.channel.answered(target) if said.notes else target


def _marked(channel: Channel, target: Target) -> Target:
    """What others read along is marked: nothing that the user did not ask for just now is told there."""
    return target if channel.private(target) == target else target | {SHARED: True}
