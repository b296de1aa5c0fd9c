"""The worker: claims turns while it has room, runs them side by side, and stops them when told."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from functools import partial
from uuid import UUID

import psycopg
import structlog

from accounts.licences import Licence
from accounts.quotas import sweep_messages
from accounts.usage_days import close_days
from agents import metrics
from agents.brain import Brain, live_brain
from agents.leftovers import Leftovers
from agents.pictures import sweep_pictures
from agents.pulse import BEAT_S, Pulse
from agents.queue import Claim, cancellations, claim_next, disown, held_by
from agents.rooms import offered
from agents.runner import TurnRun
from agents.uploads import sweep_uploads
from agents.waits import erase_words, expire_waits
from agents.workflow_runs import erase_ended
from gateway.db import connection
from gateway.services import Services

# All of them wait on a model or a tool nearly all of the time.
MAX_TURNS = 200
# How long a worker that is told to stop lets its turns go on before it puts them back into the queue.
DRAIN_S = 3.0
# A cancellation may be lost (asyncio.wait_for of Python 3.11 swallows one that meets its end), so it is said again.
PUT_BACK_TRIES = 5
SWEEP_EVERY_S = 2.0
# So long a cancel may be here before the turn that was claimed before it.
EARLY_S = 5.0

log = structlog.get_logger(__name__)


async def run(services: Services) -> None:
    """Serve turns until `services.stopping` is set."""
    await Worker(services, brain=live_brain()).run()


class Worker:
    """The turns of one process, in one event loop."""

    def __init__(self, services: Services, *, brain: Brain) -> None:
        self._services, self._brain = services, brain
        self._runs: dict[str, tuple[TurnRun, asyncio.Task[None]]] = {}
        self._leftovers = Leftovers(services, brain=brain)
        self._strays: dict[str, int] = {}
        self._pulse = Pulse()
        # Whether the last look found nothing while turns ran, which may have been in the way of others.
        self._passed_over = False
        # Whether the last look came to the end of the queue.
        self._at_rest = False
        # Turns that were cancelled before they began here, or elsewhere, and when.
        self._cancelled: dict[str, float] = {}
        # A turn may begin in the task of whoever sent its message, whose context is not the turn's.
        self._context = copy_context()
        # Asked for before the wake-ups begin to run, so that nothing is missed.
        self._runnable = services.wakeups.on("turns")
        self._cancels = services.wakeups.on("cancels")
        self._steers = services.wakeups.on("steers")
        # Nobody notifies it: it is woken to stop.
        self._swept = services.wakeups.on("sweep")

    async def run(self) -> None:
        """Claim and run turns until told to stop; then let those that run end, or put them back."""
        watched = (self._watch_cancels, self._watch_steers, self._sweep, self._pulse.run)
        helpers = [asyncio.create_task(helper()) for helper in watched]
        try:
            with offered(self):
                while not self._stopping:
                    await _going_on(self._claim_all)
                    await self._runnable.wait()
        finally:
            await self._drain()
            for helper in helpers:
                helper.cancel()
            await asyncio.wait(helpers, timeout=1)
            await self._leftovers.drain()

    @property
    def holder(self) -> UUID:
        """See Room."""
        return self._services.lease.id

    def free(self) -> bool:
        """See Room."""
        # Those in the queue were there first.
        nobody_waits = self._at_rest and not self._runnable.pending
        return nobody_waits and len(self._runs) < MAX_TURNS and not (self._stopping or self._behind)

    def take(self, claim: Claim, licence: Licence) -> None:
        """See Room."""
        turn_run = self._begin(claim, licence)
        if self._stopping:
            turn_run.drain()

    @property
    def _behind(self) -> bool:
        return bool(self._runs) and self._pulse.late

    @property
    def _stopping(self) -> bool:
        return self._services.stopping.is_set()

    async def _claim_all(self) -> None:
        self._at_rest, passed = False, list[str]()
        while len(self._runs) < MAX_TURNS and not self._stopping:
            if self._behind:
                self._look_at_next_beat()
                return
            claim = await claim_next(self._services.lease.id, passed=passed)
            self._passed_over = claim is None and bool(self._runs)
            if claim is None:
                self._at_rest = not passed
                break
            self._begin(claim)
        if passed:
            self._look_at_next_beat()

    def _look_at_next_beat(self) -> None:
        """Whatever wakes the worker before."""
        asyncio.get_running_loop().call_later(BEAT_S, self._runnable.put, "")

    def _begin(self, claim: Claim, licence: Licence | None = None) -> TurnRun:
        turn_run = TurnRun(claim, self._brain, licence=licence)
        task = asyncio.create_task(turn_run.run(), name=f"turn {claim.turn}", context=self._context.copy())
        self._runs[claim.turn] = (turn_run, task)
        metrics.turns_in_flight.inc()
        task.add_done_callback(partial(self._ended, claim.turn))
        if time.monotonic() - self._cancelled.get(claim.turn, -math.inf) < EARLY_S:
            turn_run.cancel()
        return turn_run

    def _ended(self, turn: str, task: "asyncio.Task[None]") -> None:
        was_full = len(self._runs) >= MAX_TURNS
        if turn in self._runs and self._runs[turn][1] is task:
            del self._runs[turn]
        metrics.turns_in_flight.dec()
        # A message that was accepted while the conversation's last turn was being let go of is seen by neither commit.
        if was_full or self._passed_over:
            self._runnable.put("")

    async def _watch_cancels(self) -> None:
        while not self._stopping:
            payloads = await self._cancels.wait()
            await _going_on(partial(self._cancel, payloads))

    async def _watch_steers(self) -> None:
        while not self._stopping:
            # Without a name after a lost connection: whoever runs looks.
            for turn in await self._steers.wait() or list(self._runs):
                if turn in self._runs:
                    self._runs[turn][0].steer()

    async def _cancel(self, payloads: list[str]) -> None:
        for turn in payloads or (await cancellations(self._services.lease.id) if self._runs else []):
            if turn in self._runs:
                self._runs[turn][0].cancel()
            else:
                self._cancelled[turn] = time.monotonic()
        now = time.monotonic()
        self._cancelled = {turn: at for turn, at in self._cancelled.items() if now - at < EARLY_S}

    async def _sweep(self) -> None:
        while not self._stopping:
            for step in (
                self._leftovers.take_up, self._disown_strays, _expire_waits, _erase_old_texts, erase_words, _erase_old_times,
                _close_days, erase_ended, sweep_pictures, sweep_uploads,
            ):  # fmt: skip
                await _going_on(step)
            await self._swept.wait(timeout_s=SWEEP_EVERY_S)

    async def _disown_strays(self) -> None:
        """Give up turns that this process holds and does not run.

        A commit whose answer was lost makes them, and a run that the database left. One that is seen twice is no turn that
        was claimed or ended just now.
        """
        held = await held_by(self._services.lease.id)
        strays = {turn: fence for turn, fence in held.items() if turn not in self._runs and turn not in self._leftovers}
        for turn, fence in strays.items():
            if self._strays.get(turn) == fence:
                log.warning("turn_disowned", turn=turn)
                await disown(turn, fence=fence)
        self._strays = strays

    async def _drain(self) -> None:
        """Let the turns end for a moment, then put them back; what does not even stop is left to the end of the lease."""
        running = {task for _, task in self._runs.values()}
        if running:
            await asyncio.wait(running, timeout=DRAIN_S)
        for _ in range(PUT_BACK_TRIES):
            if not self._runs:
                return
            for turn_run, _task in list(self._runs.values()):
                turn_run.drain()
            await asyncio.wait([task for _, task in self._runs.values()], timeout=1)
        late = [task for _, task in self._runs.values()]
        for task in late:
            task.cancel()
        if late:
            log.warning("turns_cut_off", turns=len(late))
            await asyncio.wait(late, timeout=1)


async def _erase_old_texts() -> None:
    """Texts that no workspace stores are kept as long as their journal (commands), or for a retry (dead letters)."""
    async with connection() as conn:
        await conn.execute(
            "UPDATE turns SET content = '', answer = '' WHERE state IN ('done', 'failed', 'cancelled') AND history IS NULL"
            " AND content <> '' AND finished_at < clock_timestamp() - CASE WHEN dead THEN interval '7 days'"
            " ELSE interval '10 minutes' END"
        )


async def _expire_waits() -> None:
    """What nobody decided in time."""
    await expire_waits()


async def _erase_old_times() -> None:
    """Times of messages that no limit needs any more."""
    await sweep_messages()


async def _close_days() -> None:
    """Sum up the days of usage that are over."""
    await close_days()


async def _going_on(step: Callable[[], Awaitable[None]]) -> None:
    """Do a step of a loop that must go on, whatever the step met; a fault that lasts is met once a second."""
    try:
        await step()
    except psycopg.OperationalError as error:
        log.warning("database_away", error=type(error).__name__)
        await asyncio.sleep(1)
    except Exception:  # the boundary of the worker: without its loops nobody is answered
        log.exception("worker_step_broke")
        await asyncio.sleep(1)
