"""One attempt to send a message, and what it makes of the message."""

import random

import psycopg
import structlog

from channels_app import pictures_out
from channels_app.channels import Channel, channel_that_is_on
from channels_app.deliveries.preview_rows import PREVIEW
from channels_app.deliveries.rows import MAX_AGE_HOURS, Claim, begin_anew
from channels_app.deliveries.settling import Outcome
from channels_app.errors import ChatClosed, DeliveryError, NotEditable
from channels_app.models import DeliveryState

NO_PICTURE = "A picture of this answer could not be read. The web page may still have it."
LONGEST_WAIT_S = 300.0
# A message that waits longer is too old by then, whatever a platform asks for.
LONGEST_PAUSE_S = MAX_AGE_HOURS * 3600.0

log = structlog.get_logger(__name__)


async def attempt(claim: Claim) -> Outcome:
    """Send one message, once; what became of it."""
    if claim.obstacle:
        return Outcome(DeliveryState.FAILED, error=claim.obstacle)
    channel = channel_that_is_on(claim.channel)
    if channel is None:
        return Outcome(DeliveryState.PENDING, error="The channel is off.", wait_s=backoff_s(claim.attempts))
    try:
        receipt = await _show(channel, claim)
    except DeliveryError as error:
        return _outcome_of(error, claim)
    except Exception as error:  # a fault of ours may come before or after the first byte
        log.exception("delivery_crashed", delivery=claim.id, channel=claim.channel)
        return Outcome(DeliveryState.AMBIGUOUS, error=f"fault ({type(error).__name__})")
    return Outcome(DeliveryState.SENT, receipt=receipt, pause_s=channel.pace_s(claim.target))


async def _show(channel: Channel, claim: Claim) -> str:
    if "picture" in claim.body:
        return await _show_picture(channel, claim)
    part = claim.body | {"crowded": True} if claim.crowded else claim.body
    if not claim.edits_message:
        return await channel.send(part, claim.target)
    try:
        return await channel.edit(part, claim.target, message=claim.edits_message)
    except NotEditable:
        if claim.kind == PREVIEW:
            # Its answer comes as a new message.
            raise
        await _begin_anew(claim)
        return await channel.send(part, claim.target)
    except DeliveryError as error:
        if not error.ambiguous:
            raise
        # The same text in the same message, once more, changes nothing that was not to be changed.
        raise DeliveryError(error.cause) from error


async def _begin_anew(claim: Claim) -> None:
    try:
        begun = await begin_anew(claim)
    except psycopg.Error as error:
        raise DeliveryError("database_failed") from error
    if not begun:
        raise DeliveryError("claim_lost")


async def _show_picture(channel: Channel, claim: Claim) -> str:
    """The picture, or a sentence where it is gone, since its answer speaks of it."""
    try:
        content = await pictures_out.read(claim.body["picture"], user_id=claim.user_id, attempt=claim.attempts)
    except pictures_out.PictureGone as error:
        log.warning("picture_not_sent", delivery=claim.id, channel=claim.channel, cause=error.cause)
        [part] = channel.compose(NO_PICTURE)
        return await channel.send(part, claim.target)
    return await channel.send_picture(claim.body, claim.target, content=content)


def unwritable(outcome: Outcome) -> Outcome:
    """The outcome in words of our own, for one that the database can't hold; what would be tried again is given up."""
    state = DeliveryState.FAILED if outcome.state == DeliveryState.PENDING else outcome.state
    return Outcome(state, error="The platform's words can't be stored.")


def backoff_s(attempts: int) -> float:
    """How long to wait after the attempt of that number, in seconds: 2, 4, 8 … 300, each up to a tenth longer."""
    # A jitter keeps many chats from coming back in the same moment; nobody gains by guessing it.
    return min(2.0 ** min(attempts, 16), LONGEST_WAIT_S) * random.uniform(1.0, 1.1)  # noqa: S311


def _outcome_of(error: DeliveryError, claim: Claim) -> Outcome:
    if error.permanent:
        return Outcome(DeliveryState.FAILED, error=error.cause, closes=isinstance(error, ChatClosed))
    if error.ambiguous:
        return Outcome(DeliveryState.AMBIGUOUS, error=error.cause)
    if error.retry_after_s is not None:
        pause_s = min(error.retry_after_s, LONGEST_PAUSE_S)
        return Outcome(DeliveryState.PENDING, error=error.cause, pause_s=pause_s, everywhere=error.everywhere)
    return Outcome(DeliveryState.PENDING, error=error.cause, wait_s=backoff_s(claim.attempts))
