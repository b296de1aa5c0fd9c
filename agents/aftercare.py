"""After a turn has ended: its last event stands in the journal, its messages in the user's workspace.

A finished turn stays held while this is under way, so that the conversation's next turn sees the whole history. When its
worker died in between, another claims it and does the rest; both steps may be repeated.
"""

import json
from typing import Any

import psycopg
import structlog

from accounts.licences import Licence, NotLicensed, active_licence
from agents.brain import Brain
from agents.errors import AgentFailed, HistoryRefused
from agents.events import Cancelled, Done, Failed, Snapshot, Usage, UserMessage
from agents.journal import journal
from agents.queue import Claim
from agents.settlement import (
    Final,
    forget,
    forget_stored,
    let_go,
    note_end,
    store_later,
    store_within_a_day,
    unstored_in,
)
from agents.waits import WAITING, tell_again
from agents.writer import TurnWriter

# The workspace can't be reached now: its next start is when the user comes back, so there is no hurry.
RETRY_AFTER_S = 60.0
# Without a licence no workspace is started.
UNLICENSED_RETRY_AFTER_S = 3600.0
# What takes not even a few words has a full disk, or is a server of staff's that keeps none: only people can change that.
REFUSED_RETRY_AFTER_S = 3600.0

FINAL_TYPES = {event.type for event in (Done, Failed, Cancelled)}

log = structlog.get_logger(__name__)


async def care_for(
    claim: Claim, history: list[dict[str, Any]] | None, *, brain: Brain, licence: Licence | None = None
) -> bool:
    """Store the messages of a turn that has just ended in the workspace, and free its conversation; whether others wait there.

    None = there is nothing to store, and the text stays here for a while (a dead letter may be retried). `licence` is the one
    that the turn was answered by, where it was read in this process.
    """
    if history is None:
        return await let_go(claim)
    try:
        licence = licence or await active_licence(claim.user_id)
        await _remember(brain, licence, conversation=claim.conversation, turn=claim.turn, history=history)
    except NotLicensed:
        return await store_later(claim, after_s=UNLICENSED_RETRY_AFTER_S)
    except HistoryRefused:
        return await store_within_a_day(claim, after_s=REFUSED_RETRY_AFTER_S)
    except AgentFailed as error:
        log.warning("history_not_stored", turn=claim.turn, code=error.code)
        return await store_later(claim, after_s=RETRY_AFTER_S)
    return await forget(claim)


async def store_earlier(claim: Claim, licence: Licence, *, brain: Brain) -> None:
    """Give the workspace what earlier turns of the claim's conversation have left, so that this one sees all of it.

    One that keeps nothing now holds up no answer. Raises AgentFailed when the workspace can't be reached.
    """
    for turn, history in await unstored_in(claim.conversation):
        try:
            await _remember(brain, licence, conversation=claim.conversation, turn=turn, history=history)
        except HistoryRefused:
            return
        await forget_stored(turn)


async def finish_for_another(claim: Claim, *, brain: Brain) -> bool:
    """Do what another worker did not end: write the turn's end where it is missing, and store its messages; or show what it
    waits for.

    False when the journal can't be written now; the turn stays held, so that this is tried again. Raises RedisError.
    """
    if claim.state in WAITING:
        return await tell_again(claim)
    if claim.abandoned:
        last_seq = await _written_end(claim.turn) or await _write_end(claim)
        if last_seq is None:
            return False
        await note_end(claim.turn, fence=claim.fence, last_seq=last_seq)
    await care_for(claim, claim.history, brain=brain)
    return True


async def _remember(
    brain: Brain, licence: Licence, *, conversation: str, turn: str, history: list[dict[str, Any]]
) -> None:
    if not history:
        return
    try:
        await brain.remember(licence, conversation, turn, history)
    except (AgentFailed, psycopg.Error):
        raise
    except Exception as error:  # the boundary of a workspace: whatever broke there must not lose the text
        log.exception("history_broke", turn=turn)
        raise AgentFailed("internal", "Something went wrong on our side.", retryable=True) from error


async def _written_end(turn: str) -> int | None:
    """The number of the last event of a turn that has one in the journal."""
    written = await journal().read(turn, after=0)
    if written is None or not written.frames:
        return None
    return written.last if json.loads(written.frames[-1])["type"] in FINAL_TYPES else None


async def _write_end(claim: Claim) -> int | None:
    """Write the turn's end; its number, None when the journal can't be written now."""
    writer = TurnWriter(claim, journal())
    if not await writer.open():
        await writer.emit(UserMessage(channel=claim.channel, content=claim.content))
    event = _last_event(claim)
    if not isinstance(event, Failed):
        await writer.emit(Snapshot(content=event.content))
    return await writer.finish(event)


def _last_event(claim: Claim) -> Final:
    if claim.state == "failed":
        return Failed(code=claim.error_code, message=claim.error_message)
    if claim.state == "cancelled":
        return Cancelled(content=claim.answer)
    return Done(content=claim.answer, model=claim.model or None, usage=Usage(**claim.usage))
