"""What other workers have left: ends that were not told, and messages that no workspace has yet."""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

import psycopg
import structlog
from redis.exceptions import RedisError

from agents.aftercare import finish_for_another
from agents.brain import Brain
from agents.errors import AgentFailed, FenceLost
from agents.queue import Claim, claim_uncared
from agents.settlement import store_later
from gateway.services import Services

# Messages that a process gives to workspaces at once: each may wait minutes for one to start.
MOST_STORES = 16
# A cancellation may be lost (asyncio.wait_for of Python 3.11 swallows one that meets its end), so it is said again.
STOP_TRIES = 5

log = structlog.get_logger(__name__)


class Leftovers:
    """Those that this process has taken up. They are told one after the other, and stored beside each other.

    Each is held meanwhile. One whose end can't be told now is held and run by nobody, so the worker gives it up and it comes
    again.
    """

    def __init__(self, services: Services, *, brain: Brain) -> None:
        self._services, self._brain = services, brain
        self._under_way: dict[str, asyncio.Task[bool]] = {}
        # The conversations whose messages are being stored. A workspace keeps them in the order in which they come.
        self._storing: set[str] = set()

    def __contains__(self, turn: str) -> bool:
        return turn in self._under_way

    async def take_up(self) -> None:
        """Tell all that is untold, and begin to store what is unstored, as far as there is room for that.

        Raises psycopg.Error.
        """
        while not self._services.stopping.is_set():
            claim = await claim_uncared(self._services.lease.id, stores=len(self._storing) < MOST_STORES)
            if claim is None or not await self._told(claim):
                return

    async def drain(self) -> None:
        """Stop storing; what was not stored is anyone's at once."""
        for _ in range(STOP_TRIES):
            if not self._under_way:
                return
            for task in self._under_way.values():
                task.cancel()
            await asyncio.wait(self._under_way.values(), timeout=1)

    async def _told(self, claim: Claim) -> bool:
        """Take one up, until it is told; False when it can't be now."""
        stores = asyncio.Event()
        task = asyncio.create_task(self._finish(claim, stores), name=f"leftover {claim.turn}")
        self._under_way[claim.turn] = task
        task.add_done_callback(partial(self._ended, claim.turn))
        begun = asyncio.create_task(stores.wait())
        try:
            await asyncio.wait({task, begun}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            begun.cancel()
        return not task.done() or (not task.cancelled() and task.exception() is None and task.result())

    async def _finish(self, claim: Claim, stores: asyncio.Event) -> bool:
        async def remember(*what: Any) -> None:
            stores.set()
            # Earlier turns of the conversation come first.
            later = claim.conversation in self._storing or (claim.abandoned and claim.unstored)
            if later or len(self._storing) >= MOST_STORES:
                raise AgentFailed("busy", "Other messages are being stored.", retryable=True)
            self._storing.add(claim.conversation)
            try:
                await self._brain.remember(*what)
            finally:
                self._storing.remove(claim.conversation)

        try:
            return await finish_for_another(claim, brain=replace(self._brain, remember=remember))
        except FenceLost:
            log.info("turn_taken_over", turn=claim.turn)
            return True
        except asyncio.CancelledError:
            if stores.is_set():
                await store_later(claim, after_s=0)
            raise

    def _ended(self, turn: str, task: "asyncio.Task[bool]") -> None:
        if self._under_way.get(turn) is task:
            del self._under_way[turn]
        error = None if task.cancelled() else task.exception()
        if isinstance(error, psycopg.OperationalError | RedisError | OSError):
            log.warning("leftover_held_up", turn=turn, error=type(error).__name__)
        elif error is not None:
            log.error("leftover_broke", turn=turn, exc_info=error)
