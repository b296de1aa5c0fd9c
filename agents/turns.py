"""A message becomes a turn, once, in one transaction; and what its owner may ask of it afterwards."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from django.utils.translation import gettext as _
from psycopg.rows import class_row

from accounts.errors import Window
from accounts.licences import Licence
from agents import arrivals, commands, plain_answers
from agents.admission import Admitted, admit_into, take_quota
from agents.arrivals import Arrival
from agents.busy import QUEUE_CAP, Way, check_policy, clear_way, find_way, queue_full, waits_for_slot
from agents.cancelling import cancel_on, no_turn
from agents.errors import AgentFailed, Refused
from agents.events import Done, Event, Notice, Queued, UserMessage
from agents.opening import begin_journal
from agents.outbox import OutboxRow, new_row_id, put
from agents.plain_answers import Shown
from agents.queue import AfterCommit, Claim
from agents.rooms import Room, room_here
from agents.to_the_end import to_the_end
from agents.uploads import attach
from agents.workflow_runs import WorkflowRun, put_run
from agents.workflows import workflows
from gateway.db import Connection, connection
from gateway.ids import is_id, new_id

MAX_CONTENT_CHARS = 32_000
MAX_EXTERNAL_ID_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingMessage:
    """A user's words, as a channel understood them.

    `external_id` is unique for the user and channel, whatever is sent twice; `reply_to` is the channel's own target.
    `conversation` None is the main one, `when_busy` None the user's own policy (agents.busy). `attachments_of` is a turn whose
    files come along again. `workflow` answers in the agent's place. `shown` are the questions that its words may answer.
    """

    user_id: str
    channel: str
    external_id: str
    content: str
    conversation: str | None = None
    model: str | None = None
    when_busy: str | None = None
    attachments: tuple[str, ...] = ()
    attachments_of: str | None = None
    reply_to: dict[str, Any] = field(default_factory=dict)
    workflow: WorkflowRun | None = None
    shown: Shown | None = None

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of what makes the message this one and no other."""
        again = [self.attachments_of] if self.attachments_of is not None else []
        parts = [self.content, self.conversation, self.model, list(self.attachments), *again]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def has_files(self) -> bool:
        """Whether files come along."""
        return bool(self.attachments) or self.attachments_of is not None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The message is stored. `position` counts the turns of its conversation that come before it.

    `windows`: how far the user's limits of messages are used; none for a duplicate or a command, which use nothing. `licence`
    is the one that it was accepted under; None for a duplicate.
    """

    turn: str
    conversation: str
    position: int
    duplicate: bool = False
    windows: tuple[Window, ...] = ()
    licence: Licence | None = None


@dataclass(frozen=True, slots=True)
class TurnView:
    """A turn as its owner may see it; `content` and `answer` are empty once only the workspace holds them.

    `last_seq` is the number of the last event; until that is written, one that no event has had. `ms` is how long the
    answer took, or has been waited for. `held`: a worker works on it, also on telling its end and storing its messages.
    """

    turn: str
    conversation: str
    channel: str
    state: str
    content: str
    answer: str
    model: str
    usage: dict[str, Any]
    error_code: str
    error_message: str
    last_seq: int
    ms: int
    held: bool

    @property
    def open(self) -> bool:
        """Whether the turn has not ended."""
        return self.state not in {"done", "failed", "cancelled"}

    def told_by(self, seq: int) -> bool:
        """Whether the turn has ended and nothing comes after the event numbered `seq`."""
        return not self.open and seq >= self.last_seq


async def accept_message(message: IncomingMessage) -> Accepted:
    """Store a message as a turn, before it is acknowledged; one sent again is the same turn.

    Raises Refused with the code `invalid`, `no_licence`, `licence_expired`, `not_included`, `not_found` (its conversation, or
    a file), `conflict` (the same id with other content), `busy`, `queue_full`, `too_many` (files sent again), `rate_limited` or
    `budget_exhausted`, and psycopg.Error when the database fails; then nothing is stored, and no quota is used.
    """
    # A turn that is claimed as it is stored must also be begun.
    return await to_the_end(_store(message))


async def facts_of(message: IncomingMessage) -> Any:
    """What a command needs to know before its transaction; None for what is no command. Raises Refused, and what it meets."""
    command = commands.parse(message.content)
    if command is None:
        return None
    _check(message)
    _refuse_files(message)
    return await command.facts(message.user_id, commands.words_of(message.content))


async def accept_any_on(conn: Connection, message: IncomingMessage, *, facts: Any) -> tuple[Accepted, AfterCommit]:
    """The same as `accept_on` of what may be a command, with what `facts_of` said of it, or the answer to a question."""
    command = commands.parse(message.content) or await _as_answer(conn, message)
    if command is None:
        return await accept_on(conn, message)
    if (known := await _find_duplicate(conn, message)) is not None:
        return known, _nothing
    admitted = await _admit(conn, message)
    after_commit: list[AfterCommit] = []
    context = commands.Context(
        conn, message.user_id, admitted.conversation, cancel_on, facts, message.channel, commands.words_of(message.content),
        after_commit, admitted.licence, message.reply_to,
    )  # fmt: skip
    accepted, events = await _answer_command(message, command, context)
    return accepted, partial(_begin, accepted, message, events, after=after_commit)


async def _as_answer(conn: Connection, message: IncomingMessage) -> commands.Command | None:
    if message.shown is None or message.has_files or await _find_duplicate(conn, message) is not None:
        return None
    _check(message)
    # Of two that come at once, the second waits here and finds the question answered.
    conversation = (await _admit(conn, message)).conversation
    return await plain_answers.find(conn, message.shown, words=message.content, conversation=conversation)


async def accept_on(conn: Connection, message: IncomingMessage) -> tuple[Accepted, AfterCommit]:
    """Store a message that is no command, in the caller's transaction; what is returned beside is for after its commit.

    Raises what `accept_message` raises.
    """
    _check(message)
    try:
        place = await _place(conn, message)
    except Refused:
        # One that is sent again is the same turn, whatever is refused by now.
        known = await _find_duplicate(conn, message)
        if known is None:
            raise
        return known, _nothing
    return await _queue(conn, message, place)


async def _store(message: IncomingMessage) -> Accepted:
    facts = await facts_of(message)
    async with connection() as conn, conn.transaction():
        accepted, begin = await accept_any_on(conn, message, facts=facts)
    await begin()
    return accepted


async def _begin(
    accepted: Accepted, message: IncomingMessage, events: list[Event], *, after: Sequence[AfterCommit] = ()
) -> None:
    for act in after:
        await act()
    if not accepted.duplicate:
        await begin_journal(accepted.turn, accepted.conversation, user_id=message.user_id, events=events)


async def _nothing() -> None:
    """What is left to do for a message that was accepted before."""


async def cancel_turn(turn: str, *, user_id: str) -> None:
    """Stop a turn, wherever it waits or runs; one that has ended stays as it is.

    Raises Refused `not_found` for another's turn or a missing one.
    """
    if not is_id(turn):
        raise no_turn()
    async with connection() as conn, conn.transaction():
        after_commit = await cancel_on(conn, turn, user_id)
    if after_commit is not None:
        await after_commit()


async def find_turn(turn: str, *, user_id: str) -> TurnView:
    """The user's turn; Refused `not_found` for another's or a missing one."""
    if not is_id(turn):
        raise no_turn()
    async with connection() as conn, conn.cursor(row_factory=class_row(TurnView)) as cursor:
        await cursor.execute(
            "SELECT id::text AS turn, conversation_id::text AS conversation, channel, state, content, answer, model, usage,"
            " error_code, error_message, COALESCE(last_seq, journal_floor - 1) AS last_seq,"
            " (extract(epoch FROM COALESCE(finished_at, clock_timestamp()) - accepted_at) * 1000)::bigint AS ms,"
            " holder IS NOT NULL AS held"
            " FROM turns WHERE id = %s AND user_id = %s",
            (turn, user_id),
        )
        found = await cursor.fetchone()
    if found is None:
        raise no_turn()
    return found


def _check(message: IncomingMessage) -> None:
    try:
        message.content.encode()
    except UnicodeEncodeError as error:
        raise Refused("invalid", "The message holds characters that can't be stored.") from error
    if not message.content.strip() or "\0" in message.content:
        raise Refused("invalid", "The message is empty." if not message.content.strip() else "The message holds a NUL.")
    if len(message.content) > MAX_CONTENT_CHARS:
        raise Refused(
            "invalid", _("The message is longer than {most} characters.").format(most=f"{MAX_CONTENT_CHARS:,}")
        )
    if not 0 < len(message.external_id) <= MAX_EXTERNAL_ID_CHARS:
        raise Refused("invalid", f"An id has 1 to {MAX_EXTERNAL_ID_CHARS} characters.")
    check_policy(message.when_busy)


def _refuse_files(message: IncomingMessage) -> None:
    """Raise Refused for a command, or what a workflow answers, with files: nobody would look at them."""
    if message.has_files:
        raise Refused("invalid", "A command takes no files. Send them with a message.")


async def _find_duplicate(conn: Connection, message: IncomingMessage) -> Accepted | None:
    cursor = await conn.execute(
        "SELECT id::text, conversation_id::text, digest FROM turns WHERE user_id = %s AND channel = %s AND external_id = %s",
        (message.user_id, message.channel, message.external_id),
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    turn, conversation, digest = row
    if digest != message.digest:
        raise Refused("conflict", "A message with this id and other content was accepted before.")
    return Accepted(turn, conversation, await _position(conn, turn=turn, conversation=conversation), duplicate=True)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a message goes: its conversation, locked, its way into it, and the workflow that answers it in the agent's place.

    `room` is the worker that may begin with it at once.
    """

    licence: Licence
    conversation: str
    way: Way
    run: WorkflowRun | None
    room: Room | None


async def _admit(conn: Connection, message: IncomingMessage, *, slots: bool = False) -> Admitted:
    return await admit_into(
        conn, message.user_id, channel=message.channel, conversation=message.conversation, slots=slots
    )


async def _place(conn: Connection, message: IncomingMessage) -> _Place:
    run = message.workflow or commands.started_workflow(message.content)
    # One with steps of its own to take, or with files to deliver, joins no answer and goes by the queue.
    plain = run is None and not message.has_files
    room = room_here() if plain else None
    admitted = await _admit(conn, message, slots=room is not None)
    licence = admitted.licence
    way = await find_way(conn, user_id=message.user_id, conversation=admitted.conversation, when_busy=message.when_busy)
    if way.position > QUEUE_CAP:
        raise queue_full()
    if run is not None:
        _require_workflow(licence, run)
        _refuse_files(message)
    if not plain:
        way = replace(way, joins=None)
    if not admitted.slots or way.position or way.stops or way.waiting or waits_for_slot(licence, running=way.running):
        room = None
    return _Place(licence, admitted.conversation, way, run, room)


async def _queue(conn: Connection, message: IncomingMessage, place: _Place) -> tuple[Accepted, AfterCommit]:
    turn, way = new_id(), place.way
    # It may have filled up while the licence's lock was waited for.
    room = place.room if place.room is not None and place.room.free() else None
    arrival = _arrival(
        message, turn, place.conversation, steers=bool(way.joins), position=way.position or None, room=room
    )
    # First the row, then the quota and others: one that was sent before is found out by the row, and does nothing.
    written = await arrivals.write(conn, arrival)
    if written is None:
        return await _sent_before(conn, message), _nothing
    after = await clear_way(conn, way, user_id=message.user_id)
    uploads, source = message.attachments, message.attachments_of
    names = await attach(conn, turn, user_id=message.user_id, uploads=uploads, source=source)
    windows = await take_quota(conn, place.licence)
    if place.run is not None:
        await put_run(conn, turn, place.run)
    events: list[Event] = [UserMessage(message.channel, message.content, names or None)]
    if way.position:
        events.append(Queued(position=way.position))
    elif waiting := waits_for_slot(place.licence, running=way.running):
        events.append(Notice(text=waiting))
    accepted = Accepted(turn, place.conversation, way.position, windows=windows, licence=place.licence)
    if written.claim is not None and room is not None:
        return accepted, partial(_take, room, written.claim, place.licence)
    return accepted, partial(_begin, accepted, message, events, after=after)


async def _take(room: Room, claim: Claim, licence: Licence) -> None:
    """The worker writes the first event too."""
    room.take(claim, licence)


def _require_workflow(licence: Licence, run: WorkflowRun) -> None:
    try:
        workflows()[run.workflow].require(licence)
    except AgentFailed as error:
        raise Refused(error.code, error.message) from error


async def _answer_command(
    message: IncomingMessage, command: commands.Command, context: commands.Context
) -> tuple[Accepted, list[Event]]:
    conn, turn = context.conn, new_id()
    if not await arrivals.write(conn, _arrival(message, turn, context.conversation, state="done")):
        return await _sent_before(conn, message), []
    answer = await command.run(context)
    events = [UserMessage(channel=message.channel, content=message.content), Done(content=answer, model=None)]
    await conn.execute(
        "UPDATE turns SET state = 'done', answer = %s, conversation_id = %s, last_seq = %s, finished_at = clock_timestamp()"
        " WHERE id = %s",
        (answer, context.conversation, len(events), turn),
    )
    payload = {"content": answer, "own": True} | ({"urgent": True} if command.urgent else {})
    row = OutboxRow(new_row_id(), turn, message.user_id, message.channel, message.reply_to, "done", payload)
    await put(conn, row)
    return Accepted(turn, context.conversation, 0, licence=context.licence), events


def _arrival(message: IncomingMessage, turn: str, conversation: str, **more: Any) -> Arrival:
    return Arrival(
        turn=turn, user_id=message.user_id, conversation=conversation, channel=message.channel,
        external_id=message.external_id, digest=message.digest, content=message.content,
        wanted_model=message.model or "", reply_to=message.reply_to, **more,
    )  # fmt: skip


async def _sent_before(conn: Connection, message: IncomingMessage) -> Accepted:
    known = await _find_duplicate(conn, message)
    if known is None:
        raise Refused("conflict", "This message is being deleted. Send it again.")
    return known


async def _position(conn: Connection, *, turn: str, conversation: str) -> int:
    """How many turns of the conversation are ahead of `turn`."""
    cursor = await conn.execute(
        "SELECT count(*) FROM turns WHERE conversation_id = %s AND state IN ('queued', 'running')"
        " AND joined_to IS NULL AND (accepted_at, id) <"
        " (COALESCE((SELECT accepted_at FROM turns WHERE id = %s), clock_timestamp()), %s)",
        (conversation, turn, turn),
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0
