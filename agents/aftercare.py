"""After a turn has ended: its last event stands in the journal, its messages in the user's workspace.

A finished turn stays held while this is under way, so that the conversation's next turn sees the whole history. When its
worker died in between, another claims it and does the rest; both steps may be repeated.
"""

import json
from typing import Any

import structlog

from accounts.licences import NotLicensed, active_licence
from agents.brain import Brain
from agents.errors import AgentFailed
from agents.events import Cancelled, Done, Failed, Snapshot, Usage, UserMessage
from agents.journal import journal
from agents.queue import Claim
from agents.settlement import Final, let_go
from agents.writer import TurnWriter

# The workspace can't be reached now: its next start is when the user comes back, so there is no hurry.
RETRY_AFTER_S = 60.0
# Without a licence no workspace is started.
UNLICENSED_RETRY_AFTER_S = 3600.0

FINAL_TYPES = {event.type for event in (Done, Failed, Cancelled)}

log = structlog.get_logger(__name__)


async def care_for(claim: Claim, history: list[dict[str, Any]], *, brain: Brain) -> None:
    """Store the messages of a turn that has just ended in the workspace, and free its conversation."""
    if not history:
        await let_go(claim, stored=True)
        return
    try:
        licence = await active_licence(claim.user_id)
        await brain.remember(licence, claim.conversation, claim.turn, history)
    except NotLicensed:
        await let_go(claim, stored=False, retry_after_s=UNLICENSED_RETRY_AFTER_S)
    except AgentFailed as error:
        log.warning("history_not_stored", turn=claim.turn, code=error.code)
        await let_go(claim, stored=False, retry_after_s=RETRY_AFTER_S)
    else:
        await let_go(claim, stored=True)


async def finish_for_another(claim: Claim, *, brain: Brain) -> None:
    """Do the aftercare that another worker did not end: write the turn's end where it is missing, store its messages."""
    if claim.abandoned and not await _has_ended(claim.turn):
        writer = TurnWriter(claim, journal())
        if not await writer.open():
            await writer.emit(UserMessage(channel=claim.channel, content=claim.content))
        event = _last_event(claim)
        if not isinstance(event, Failed):
            await writer.emit(Snapshot(content=event.content))
        await writer.finish(event)
    await care_for(claim, claim.history or [], brain=brain)


async def _has_ended(turn: str) -> bool:
    written = await journal().read(turn, after=0)
    if written is None or not written.frames:
        return False
    return json.loads(written.frames[-1])["type"] in FINAL_TYPES


def _last_event(claim: Claim) -> Final:
    if claim.state == "failed":
        return Failed(code=claim.error_code, message=claim.error_message)
    if claim.state == "cancelled":
        return Cancelled(content=claim.answer)
    return Done(content=claim.answer, model=claim.model or None, usage=Usage(**claim.usage))
