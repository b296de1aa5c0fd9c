"""Send the messages that wait: side by side between chats, one after another within each."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import psycopg
import structlog

from channels_app import metrics
from channels_app.channels import channel_that_is_on, channels
from channels_app.deliveries import rows
from channels_app.deliveries.intake import take_outbox
from channels_app.deliveries.rows import Claim, Outcome
from channels_app.errors import DeliveryError
from channels_app.models import DeliveryState
from gateway.services import Services

# Telegram takes about 30 messages a second from a bot, each of which takes it about 0.1 s.
MAX_SENDS = 16
SWEEP_EVERY_S = 2.0
DATABASE_RETRY_S = 1.0
# How long a worker that is told to stop waits for the messages on their way; one that is cut off is ambiguous.
DRAIN_S = 10.0
LONGEST_WAIT_S = 300.0
PAUSE_SLACK_S = 0.05

log = structlog.get_logger(__name__)


class Dispatcher:
    """The sends of one process, in one event loop."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._sends: set[asyncio.Task[None]] = set()
        # Asked for before the wake-ups begin to run, so that nothing is missed.
        self._outbox = services.wakeups.on("outbox")
        self._waiting = services.wakeups.on("deliveries")

    async def run(self) -> None:
        """Send until told to stop; then let what is on its way arrive."""
        try:
            async with asyncio.TaskGroup() as loops:
                helpers = [loops.create_task(self._take_outbox()), loops.create_task(self._sweep())]
                while not self._services.stopping.is_set():
                    await _going_on(self._begin_sends)
                    await self._waiting.wait()
                for helper in helpers:
                    helper.cancel()
        finally:
            await self._drain()
            for channel in channels().values():
                await channel.close()

    async def _begin_sends(self) -> None:
        while len(self._sends) < MAX_SENDS and not self._services.stopping.is_set():
            claim = await rows.claim_next(self._services.lease.id)
            if claim is None:
                return
            task = asyncio.create_task(self._send(claim), name=f"delivery {claim.id}")
            self._sends.add(task)
            metrics.sends_in_flight.inc()
            task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sends.discard(task)
        metrics.sends_in_flight.dec()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("delivery_task_failed", exc_info=error)
        # There is room again, and the chat's next message may go.
        self._waiting.put("")

    async def _send(self, claim: Claim) -> None:
        if not await self._insist(lambda: rows.begin_sending(claim, holder=self._services.lease.id)):
            log.warning("delivery_claim_lost", delivery=claim.id)
            return
        outcome = await attempt(claim)
        if not await self._insist(lambda: rows.settle(claim, outcome)):
            log.warning("delivery_settled_elsewhere", delivery=claim.id, outcome=outcome.state)
            return
        _record(claim, outcome)
        if outcome.pause_s:
            asyncio.get_running_loop().call_later(outcome.pause_s + PAUSE_SLACK_S, self._waiting.put, "")

    async def _insist(self, step: Callable[[], Awaitable[bool]]) -> bool:
        """Write to the database even if it is away for a while: a row that stays open would hold up its chat."""
        while True:
            try:
                return await step()
            except psycopg.OperationalError as error:
                log.warning("database_away", error=type(error).__name__)
                if self._services.stopping.is_set():
                    return False
                await asyncio.sleep(DATABASE_RETRY_S)

    async def _take_outbox(self) -> None:
        while True:
            await _going_on(_empty_outbox)
            await self._outbox.wait()

    async def _sweep(self) -> None:
        while True:
            await _going_on(_settle_the_lost)
            await asyncio.sleep(SWEEP_EVERY_S)

    async def _drain(self) -> None:
        if not self._sends:
            return
        _, late = await asyncio.wait(self._sends, timeout=DRAIN_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


async def attempt(claim: Claim) -> Outcome:
    """Send one message, once; what became of it."""
    channel = channel_that_is_on(claim.channel)
    if channel is None:
        return Outcome(DeliveryState.PENDING, error="The channel is off.", wait_s=backoff_s(claim.attempts))
    try:
        receipt = await channel.send(claim.body, claim.target)
    except DeliveryError as error:
        return _outcome_of(error, claim)
    except Exception as error:  # a fault of ours may come before or after the first byte
        log.exception("delivery_crashed", delivery=claim.id, channel=claim.channel)
        return Outcome(DeliveryState.AMBIGUOUS, error=f"fault ({type(error).__name__})")
    return Outcome(DeliveryState.SENT, receipt=receipt, pause_s=channel.pace_s(claim.target))


def _outcome_of(error: DeliveryError, claim: Claim) -> Outcome:
    if error.permanent:
        return Outcome(DeliveryState.FAILED, error=error.cause)
    if error.ambiguous:
        return Outcome(DeliveryState.AMBIGUOUS, error=error.cause)
    if error.retry_after_s is not None:
        return Outcome(DeliveryState.PENDING, error=error.cause, pause_s=error.retry_after_s)
    return Outcome(DeliveryState.PENDING, error=error.cause, wait_s=backoff_s(claim.attempts))


def backoff_s(attempts: int) -> float:
    """How long to wait after the attempt of that number, in seconds: 2, 4, 8 … 300, each up to a tenth longer."""
    # A jitter keeps many chats from coming back in the same moment; nobody gains by guessing it.
    return min(2.0 ** min(attempts, 16), LONGEST_WAIT_S) * random.uniform(1.0, 1.1)  # noqa: S311


def _record(claim: Claim, outcome: Outcome) -> None:
    metrics.deliveries.labels(channel=claim.channel, outcome=_name_of(outcome)).inc()
    if outcome.state == DeliveryState.SENT:
        waited = datetime.now(UTC) - claim.created_at
        metrics.delivery_time.labels(channel=claim.channel).observe(waited.total_seconds())
    write = log.info if outcome.state == DeliveryState.SENT else log.warning
    write(
        "delivery",
        delivery=claim.id,
        turn=claim.turn,
        channel=claim.channel,
        outcome=_name_of(outcome),
        attempt=claim.attempts,
        cause=outcome.error,
    )


def _name_of(outcome: Outcome) -> str:
    return "retry" if outcome.state == DeliveryState.PENDING else outcome.state.value


async def _empty_outbox() -> None:
    while await take_outbox():
        pass


async def _settle_the_lost() -> None:
    for channel, state in await rows.sweep():
        metrics.deliveries.labels(channel=channel, outcome=state.value).inc()
        log.warning("delivery_given_up", channel=channel, outcome=state.value)


async def _going_on(step: Callable[[], Awaitable[None]]) -> None:
    """Do a step of a loop that must go on when the database is away for a moment."""
    try:
        await step()
    except psycopg.OperationalError as error:
        log.warning("database_away", error=type(error).__name__)
        await asyncio.sleep(DATABASE_RETRY_S)
