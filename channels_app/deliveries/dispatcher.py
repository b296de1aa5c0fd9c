"""Send the messages that wait: side by side between chats, one after another within each."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import psycopg
import structlog

from channels_app import metrics
from channels_app.channels import channel_that_is_on, channels
from channels_app.deliveries import rows, sweeping
from channels_app.deliveries.attempts import attempt, unwritable
from channels_app.deliveries.intake import take_outbox
from channels_app.deliveries.previews import PREVIEW, TICK_S, Previews
from channels_app.deliveries.rows import Claim
from channels_app.deliveries.settling import Outcome, settle
from channels_app.deliveries.unsure import own_up
from channels_app.models import DeliveryState
from gateway.ending import end
from gateway.services import Services

# Of each channel, so that a server which hangs holds up no other's messages. Telegram takes about 30 messages a second from a
# bot, each of which takes it about 0.1 s.
MAX_SENDS = 16
SWEEP_EVERY_S = 2.0
TIDY_EVERY_S = 600.0
DATABASE_RETRY_S = 1.0
# How long a worker that is told to stop waits for the messages on their way; one that is cut off is ambiguous.
DRAIN_S = 10.0
PAUSE_SLACK_S = 0.05
# What a restart or a failover of the database looks like; anything else is worth its traceback.
_AWAY = (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction)

Number = TypeVar("Number", int, float)

log = structlog.get_logger(__name__)


class Dispatcher:
    """The sends of one process, in one event loop."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._sends: dict[asyncio.Task[None], Claim] = {}
        self._strays: dict[int, int] = {}
        self._previews = Previews(services.lease.id)
        # Asked for before the wake-ups begin to run, so that nothing is missed.
        self._outbox = services.wakeups.on("outbox")
        self._waiting = services.wakeups.on("deliveries")

    async def run(self) -> None:
        """Send until told to stop; then let what is on its way arrive."""
        try:
            async with asyncio.TaskGroup() as loops:
                helpers = [
                    loops.create_task(self._take_outbox()),
                    loops.create_task(_every(TICK_S, self._previews.look)),
                    loops.create_task(_every(SWEEP_EVERY_S, _settle_the_lost)),
                    loops.create_task(_every(SWEEP_EVERY_S, self._disown_strays)),
                    loops.create_task(_every(SWEEP_EVERY_S, own_up)),
                    loops.create_task(_every(TIDY_EVERY_S, sweeping.tidy)),
                ]
                while not self._services.stopping.is_set():
                    await _going_on(self._begin_sends)
                    await self._waiting.wait()
                await end(helpers)
        finally:
            await self._drain()
            await self._previews.close()
            for channel in channels().values():
                await channel.close()

    async def _begin_sends(self) -> None:
        while not self._services.stopping.is_set():
            claim = await rows.claim_next(self._services.lease.id, passed=self._full())
            if claim is None:
                return
            task = asyncio.create_task(self._send(claim), name=f"delivery {claim.id}")
            self._sends[task] = claim
            metrics.sends_in_flight.inc()
            task.add_done_callback(self._sent)

    def _full(self) -> list[str]:
        """The channels that have as many messages on their way as they may."""
        on_their_way = Counter(claim.channel for claim in self._sends.values())
        return [channel for channel, number in on_their_way.items() if number >= MAX_SENDS]

    def _sent(self, task: asyncio.Task[None]) -> None:
        del self._sends[task]
        metrics.sends_in_flight.dec()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("delivery_task_failed", exc_info=error)
        # There is room again, and the chat's next message may go.
        self._waiting.put("")

    async def _send(self, claim: Claim) -> None:
        await self._await_slot(claim)
        if not await self._insist(lambda: rows.begin_sending(claim, holder=self._services.lease.id)):
            if not await self._insist(lambda: rows.let_go(claim)):
                log.warning("delivery_claim_lost", delivery=claim.id)
            # Else its platform has asked for a wait meanwhile.
            return
        outcome = await attempt(claim)
        settled = await self._settle(claim, outcome)
        if not settled:
            log.warning("delivery_settled_elsewhere", delivery=claim.id, outcome=outcome.state)
            return
        _record(claim, outcome, settled=settled)
        if outcome.pause_s:
            asyncio.get_running_loop().call_later(outcome.pause_s + PAUSE_SLACK_S, self._waiting.put, "")

    async def _await_slot(self, claim: Claim) -> None:
        """Wait until the channel may send again, which is less than a second: as many slots as messages are on their way."""
        channel = channel_that_is_on(claim.channel)
        every_s = channel.bulk_every_s() if channel else None
        if every_s is not None:
            await asyncio.sleep(await self._insist(lambda: rows.take_slot(claim.channel, every_s=every_s)))

    async def _settle(self, claim: Claim, outcome: Outcome) -> int:
        try:
            return await self._insist(lambda: settle(claim, outcome))
        except (psycopg.DataError, UnicodeError) as error:
            log.warning("delivery_outcome_unwritable", delivery=claim.id, error=type(error).__name__)
            return await self._insist(lambda: settle(claim, unwritable(outcome)))

    async def _insist(self, step: Callable[[], Awaitable[Number]]) -> Number | int:
        """Write to the database even if it is away for a while: a row that stays open would hold up its chat.

        Raises psycopg.DataError for values that it never takes.
        """
        while True:
            try:
                return await step()
            except psycopg.DataError:
                raise
            except psycopg.Error as error:
                log.warning("database_failed", error=type(error).__name__)
                if self._services.stopping.is_set():
                    return 0
                await asyncio.sleep(DATABASE_RETRY_S)

    async def _take_outbox(self) -> None:
        while True:
            await _going_on(_empty_outbox)
            await self._outbox.wait()

    async def _disown_strays(self) -> None:
        """Give up deliveries that this process holds and does not send.

        A commit whose answer was lost makes them, and a send that broke off. One that is seen twice is none that was claimed
        or settled just now.
        """
        held = await sweeping.held_by(self._services.lease.id)
        ours = {claim.id for claim in self._sends.values()}
        strays = {delivery: fence for delivery, fence in held.items() if delivery not in ours}
        for delivery, fence in strays.items():
            if self._strays.get(delivery) == fence:
                log.warning("delivery_disowned", delivery=delivery)
                await sweeping.disown(delivery, fence=fence)
        self._strays = strays

    async def _drain(self) -> None:
        if not self._sends:
            return
        _, late = await asyncio.wait(self._sends, timeout=DRAIN_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


def _record(claim: Claim, outcome: Outcome, *, settled: int) -> None:
    metrics.deliveries.labels(channel=claim.channel, outcome=_name_of(outcome)).inc(settled)
    if claim.kind == PREVIEW and outcome.state == DeliveryState.SENT:
        # One a second and answer; its end has a line of its own.
        return
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
        settled=settled,
        cause=outcome.error,
    )


def _name_of(outcome: Outcome) -> str:
    return "retry" if outcome.state == DeliveryState.PENDING else outcome.state.value


async def _empty_outbox() -> None:
    while await take_outbox():
        pass


async def _settle_the_lost() -> None:
    for channel, state in await sweeping.sweep():
        metrics.deliveries.labels(channel=channel, outcome=state.value).inc()
        log.warning("delivery_given_up", channel=channel, outcome=state.value)


async def _every(seconds: float, step: Callable[[], Awaitable[None]]) -> None:
    while True:
        await _going_on(step)
        await asyncio.sleep(seconds)


async def _going_on(step: Callable[[], Awaitable[None]]) -> None:
    """Do a step of a loop that must go on when the database is away, read-only or out of sorts for a moment."""
    try:
        await step()
    except psycopg.Error as error:
        log.warning("database_failed", error=type(error).__name__, exc_info=not isinstance(error, _AWAY))
        await asyncio.sleep(DATABASE_RETRY_S)
