"""What a journal holds of an approval or a question: the event that asks, and the one that tells of the outcome.

They follow the commit of what they tell of. Where a process dies in between, or the journal is away, whoever takes the turn
up writes what is missing: each is known by its type and the id of what it is about.
"""

import json
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import structlog
from redis.exceptions import RedisError

from agents.errors import FenceLost, JournalLost
from agents.events import Approval, ApprovalSettled, Event, Question, QuestionSettled, Snapshot, UserMessage
from agents.hints import hint_turn
from agents.journal import journal
from agents.writer import encode

WaitEvent = Approval | ApprovalSettled | Question | QuestionSettled
Row = dict[str, Any]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class IdleTurn:
    """A turn that nobody runs: what it has shown, and the numbers that its next events may take."""

    turn: str
    user_id: str
    conversation: str
    channel: str
    reply_to: dict[str, Any]
    content: str
    answer: str
    fence: int
    floor: int


def asked_event(row: Row) -> WaitEvent:
    """The event that shows what is waited for."""
    expires_at = row["expires_at"].astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    if row["kind"] == "approval":
        return Approval(str(row["id"]), row["title"], row["details"], row["digest"], expires_at)
    return Question(str(row["id"]), row["text"], row["schema"], expires_at)


def settled_event(row: Row) -> WaitEvent:
    """The event that shows what became of it."""
    settled = ApprovalSettled if row["kind"] == "approval" else QuestionSettled
    return settled(str(row["id"]), row["state"], row["by_channel"])


def events_of(row: Row) -> list[WaitEvent]:
    """What a journal must hold of a row, in order."""
    return [asked_event(row)] if row["state"] == "pending" else [asked_event(row), settled_event(row)]


@dataclass(frozen=True, slots=True)
class Shown:
    """What a turn's journal holds; `text` is what a client that follows it shows."""

    text: str
    asked: frozenset[tuple[str, str]]

    def missing(self, events: list[WaitEvent]) -> list[WaitEvent]:
        """Those of `events` that it does not hold."""
        return [event for event in events if (event.type, _id_of(event)) not in self.asked]


NOTHING_SHOWN = Shown("", frozenset())


async def read_shown(turn: str) -> Shown:
    """What is shown of a turn; nothing where there is no journal. Raises RedisError."""
    found = await journal().read(turn, after=0)
    text, asked = "", set()
    for frame in map(json.loads, found.frames if found else []):
        if frame["type"] in {"token", "snapshot"}:
            text = frame["content"] if frame["type"] == "snapshot" else text + frame["content"]
        elif about := frame.get("approval") or frame.get("question"):
            asked.add((frame["type"], about))
    return Shown(text, frozenset(asked))


async def show(idle: IdleTurn, events: list[WaitEvent]) -> bool:
    """Write what is missing of `events` to the journal of a turn that nobody runs; False when it can't be written now.

    A worker that was quicker writes them itself.
    """
    book, turn = journal(), idle.turn
    try:
        _, there = await book.open(turn, fence=idle.fence, floor=idle.floor)
        shown = await read_shown(turn)
        unseen: list[Event] = [*shown.missing(events)]
        if shown.text != idle.answer:
            unseen = [Snapshot(content=idle.answer), *unseen]
        if not there:
            unseen = [UserMessage(channel=idle.channel, content=idle.content), *unseen]
        number = await book.append(turn, [encode(event, turn, idle.conversation) for event in unseen], fence=idle.fence)
    except (FenceLost, JournalLost):
        log.info("outcome_told_by_worker", turn=turn)
        return True
    except (RedisError, OSError) as error:
        log.warning("journal_unreachable", error=type(error).__name__)
        return False
    await hint_turn(idle.user_id, turn=turn, seq=number - 1)
    return True


def _id_of(event: WaitEvent) -> str:
    return event.approval if isinstance(event, (Approval, ApprovalSettled)) else event.question
