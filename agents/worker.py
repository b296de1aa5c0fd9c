"""The worker: claims turns while it has room, runs them side by side, and stops them when told."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import psycopg
import structlog

from agents import metrics
from agents.aftercare import finish_for_another
from agents.brain import Brain, live_brain
from agents.queue import cancellations, claim_next, claim_uncared, disown, held_by
from agents.runner import TurnRun
from gateway.db import connection
from gateway.services import Services

# All of them wait on a model or a tool nearly all of the time.
MAX_TURNS = 200
# How long a worker that is told to stop lets its turns go on before it puts them back into the queue.
DRAIN_S = 3.0
SWEEP_EVERY_S = 2.0

log = structlog.get_logger(__name__)


async def run(services: Services) -> None:
    """Serve turns until `services.stopping` is set."""
    await Worker(services, brain=live_brain()).run()


class Worker:
    """The turns of one process, in one event loop."""

    def __init__(self, services: Services, *, brain: Brain) -> None:
        self._services, self._brain = services, brain
        self._runs: dict[str, tuple[TurnRun, asyncio.Task[None]]] = {}
        self._strays: dict[str, int] = {}
        # Asked for before the wake-ups begin to run, so that nothing is missed.
        self._runnable = services.wakeups.on("turns")
        self._cancels = services.wakeups.on("cancels")

    async def run(self) -> None:
        """Claim and run turns until told to stop; then let those that run end, or put them back."""
        helpers = [asyncio.create_task(self._watch_cancels()), asyncio.create_task(self._sweep())]
        try:
            while not self._services.stopping.is_set():
                await _shielded(self._claim_all)
                await self._runnable.wait()
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await self._drain()

    async def _claim_all(self) -> None:
        while len(self._runs) < MAX_TURNS and not self._services.stopping.is_set():
            claim = await claim_next(self._services.lease.id)
            if claim is None:
                return
            turn_run = TurnRun(claim, self._brain)
            task = asyncio.create_task(turn_run.run(), name=f"turn {claim.turn}")
            self._runs[claim.turn] = (turn_run, task)
            metrics.turns_in_flight.inc()
            task.add_done_callback(partial(self._ended, claim.turn))

    def _ended(self, turn: str, task: "asyncio.Task[None]") -> None:
        if self._runs[turn][1] is task:
            del self._runs[turn]
        metrics.turns_in_flight.dec()
        # There may be room again, or a conversation free.
        self._runnable.put("")

    async def _watch_cancels(self) -> None:
        while True:
            payloads = await self._cancels.wait()
            await _shielded(partial(self._cancel, payloads))

    async def _cancel(self, payloads: list[str]) -> None:
        for turn in payloads or (await cancellations(self._services.lease.id) if self._runs else []):
            if turn in self._runs:
                self._runs[turn][0].cancel()

    async def _sweep(self) -> None:
        while True:
            await _shielded(self._finish_abandoned)
            await _shielded(self._disown_strays)
            await asyncio.sleep(SWEEP_EVERY_S)

    async def _disown_strays(self) -> None:
        """Give up turns that this process holds and does not run.

        A commit whose answer was lost makes them, and a run that the database left. One that is seen twice is no turn that
        was claimed or ended just now.
        """
        held = await held_by(self._services.lease.id)
        strays = {turn: fence for turn, fence in held.items() if turn not in self._runs}
        for turn, fence in strays.items():
            if self._strays.get(turn) == fence:
                log.warning("turn_disowned", turn=turn)
                await disown(turn, fence=fence)
        self._strays = strays

    async def _finish_abandoned(self) -> None:
        while claim := await claim_uncared(self._services.lease.id):
            await finish_for_another(claim, brain=self._brain)
        await _erase_old_texts()

    async def _drain(self) -> None:
        tasks = [task for _, task in self._runs.values()]
        if not tasks:
            return
        await asyncio.wait(tasks, timeout=DRAIN_S)
        for turn_run, _task in list(self._runs.values()):
            turn_run.drain()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _erase_old_texts() -> None:
    """Texts of turns that have no history (commands) are kept as long as their journal."""
    async with connection() as conn:
        await conn.execute(
            "UPDATE turns SET content = '', answer = '' WHERE state IN ('done', 'failed', 'cancelled') AND history IS NULL"
            " AND content <> '' AND finished_at < clock_timestamp() - interval '10 minutes'"
        )


async def _shielded(step: Callable[[], Awaitable[None]]) -> None:
    """Do a step of a loop that must go on when the database is away for a moment."""
    try:
        await step()
    except psycopg.OperationalError as error:
        log.warning("database_away", error=type(error).__name__)
        await asyncio.sleep(1)
