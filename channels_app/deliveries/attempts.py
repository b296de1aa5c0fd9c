"""One attempt to send a message, and what it makes of the message."""

import hashlib
import random

import psycopg
import structlog
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, override

from accounts.languages import language_of
from channels_app import pictures_out
from channels_app.channels import Channel, Part, channel_that_is_on
from channels_app.deliveries.preview_rows import PREVIEW
from channels_app.deliveries.rows import MAX_AGE_HOURS, Claim, begin_anew
from channels_app.deliveries.settling import Outcome
from channels_app.errors import ChatClosed, DeliveryError, NotEditable
from channels_app.models import DeliveryState

NO_PICTURE = gettext_noop("A picture of this answer could not be read. The web page may still have it.")
NOT_SHOWN = gettext_noop("A picture of this answer can't be shown here. It is on the web page.")
LONGEST_WAIT_S = 300.0
# What is shown of a growing answer is soon out of date.
LONGEST_PREVIEW_WAIT_S = 5.0
# A message that waits longer is too old by then, whatever a platform asks for.
LONGEST_PAUSE_S = MAX_AGE_HOURS * 3600.0

log = structlog.get_logger(__name__)


async def attempt(claim: Claim) -> Outcome:
    """Send one message, once; what became of it."""
    if claim.obstacle:
        return Outcome(DeliveryState.FAILED, error=claim.obstacle)
    channel = channel_that_is_on(claim.channel)
    if channel is None:
        return Outcome(DeliveryState.PENDING, error="The channel is off.", wait_s=_wait_s(claim))
    try:
        receipt = await _show(channel, claim)
    except DeliveryError as error:
        return _outcome_of(error, claim, repeats_s=channel.repeats_s(claim.target))
    except Exception as error:  # a fault of ours may come before or after the first byte
        log.exception("delivery_crashed", delivery=claim.id, channel=claim.channel)
        return Outcome(DeliveryState.AMBIGUOUS, error=f"fault ({type(error).__name__})")
    return Outcome(DeliveryState.SENT, receipt=receipt, pause_s=channel.pace_s(claim.target))


async def _show(channel: Channel, claim: Claim) -> str:
    part = claim.body | {"crowded": True} if claim.crowded else claim.body
    if not claim.edits_message or "picture" in part:
        return await _send(channel, claim, part)
    try:
        return await channel.edit(part, claim.target, message=claim.edits_message)
    except NotEditable:
        if claim.kind == PREVIEW:
            # Its answer comes as a new message.
            raise
        await _begin_anew(claim)
        return await _send(channel, claim, part)
    except DeliveryError as error:
        if not error.ambiguous:
            raise
        # The same text in the same message, once more, changes nothing that was not to be changed.
        raise DeliveryError(error.cause) from error


async def _send(channel: Channel, claim: Claim, part: Part) -> str:
    """As a new message, the first that is sent for its row; only a preview is edited later, and it is never sent anew."""
    if channel.repeats_s(claim.target):
        part = part | {"key": _key_of(claim)}
    return await (_show_picture(channel, claim, part) if "picture" in part else channel.send(part, claim.target))


def _key_of(claim: Claim) -> str:
    """The same at each attempt, and no other message's; of 25 characters, as Discord takes them."""
    return hashlib.sha256(f"{claim.id}:{claim.created_at.timestamp()}".encode()).hexdigest()[:25]


async def _begin_anew(claim: Claim) -> None:
    try:
        begun = await begin_anew(claim)
    except psycopg.Error as error:
        raise DeliveryError("database_failed") from error
    if not begun:
        raise DeliveryError("claim_lost")


async def _show_picture(channel: Channel, claim: Claim, part: Part) -> str:
    """The picture, or a sentence where it is gone or not taken, since its answer speaks of it."""
    try:
        content = await pictures_out.read(part["picture"], user_id=claim.user_id, attempt=claim.attempts)
    except pictures_out.PictureGone as error:
        return await _say_instead(channel, claim, NO_PICTURE, cause=error.cause)
    try:
        return await channel.send_picture(part, claim.target, content=content)
    except ChatClosed:
        raise
    except DeliveryError as error:
        if not error.permanent:
            raise
        return await _say_instead(channel, claim, NOT_SHOWN, cause=error.cause)


async def _say_instead(channel: Channel, claim: Claim, text: str, *, cause: str) -> str:
    log.warning("picture_not_sent", delivery=claim.id, channel=claim.channel, cause=cause)
    try:
        language = await language_of(claim.user_id, channel=claim.channel, account=claim.account)
    except psycopg.Error as error:
        raise DeliveryError("database_failed") from error
    with override(language):
        [words] = channel.compose(_(text))
    return await _send(channel, claim, words)


def unwritable(outcome: Outcome) -> Outcome:
    """The outcome in words of our own, for one that the database can't hold; what would be tried again is given up."""
    state = DeliveryState.FAILED if outcome.state == DeliveryState.PENDING else outcome.state
    return Outcome(state, error="The platform's words can't be stored.")


def backoff_s(attempts: int) -> float:
    """How long to wait after the attempt of that number, in seconds: 2, 4, 8 … 300, each up to a tenth longer."""
    # A jitter keeps many chats from coming back in the same moment; nobody gains by guessing it.
    return min(2.0 ** min(attempts, 16), LONGEST_WAIT_S) * random.uniform(1.0, 1.1)  # noqa: S311


def _wait_s(claim: Claim) -> float:
    wait_s = backoff_s(claim.attempts)
    return min(wait_s, LONGEST_PREVIEW_WAIT_S) if claim.kind == PREVIEW else wait_s


def _outcome_of(error: DeliveryError, claim: Claim, *, repeats_s: float) -> Outcome:
    if error.permanent:
        return Outcome(DeliveryState.FAILED, error=error.cause, closes=isinstance(error, ChatClosed))
    if error.ambiguous and repeats_s:
        return Outcome(DeliveryState.PENDING, error=error.cause, wait_s=_wait_s(claim), repeats_s=repeats_s)
    if error.ambiguous:
        return Outcome(DeliveryState.AMBIGUOUS, error=error.cause)
    if error.retry_after_s is not None:
        pause_s = min(error.retry_after_s, LONGEST_PAUSE_S)
        return Outcome(DeliveryState.PENDING, error=error.cause, pause_s=pause_s, everywhere=error.everywhere)
    return Outcome(DeliveryState.PENDING, error=error.cause, wait_s=_wait_s(claim))
