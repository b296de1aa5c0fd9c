"""The service that does what is due: one in each worker process, any number of them."""

import asyncio
from collections.abc import Awaitable, Callable

import psycopg
import structlog
from redis.exceptions import RedisError

from agents.schedules.alerts import check_due
from agents.schedules.tasks import run_due
from gateway.services import Services

# Looks at alerts that a process has under way: each may wait for a workspace to start.
MOST_CHECKS = 16
EVERY_S = 1.0

log = structlog.get_logger(__name__)


async def run(services: Services) -> None:
    """Do what is due until `services.stopping` is set."""
    # Nobody notifies it: it is woken to stop.
    stopped = services.wakeups.on("schedules")
    checks: set[asyncio.Task[None]] = set()

    async def check() -> None:
        # One task looks at one alert after another, as long as any is due.
        while not services.stopping.is_set() and await _going_on(lambda: check_due(services.lease.id)):
            pass

    try:
        while not services.stopping.is_set():
            while not services.stopping.is_set() and await _going_on(run_due):
                pass
            checks = {task for task in checks if not task.done()}
            if len(checks) < MOST_CHECKS:
                checks.add(asyncio.create_task(check(), name="look at alerts"))
            await stopped.wait(timeout_s=EVERY_S)
    finally:
        for task in checks:
            task.cancel()
        if checks:
            await asyncio.wait(checks, timeout=1)


async def _going_on(step: Callable[[], Awaitable[bool]]) -> bool:
    """Do a step; whatever it met, False then, so that the next look comes after a pause."""
    try:
        return await step()
    except (psycopg.OperationalError, RedisError, OSError) as error:
        log.warning("schedules_held_up", error=type(error).__name__)
    except Exception:  # the boundary of the service: one alert that breaks must not hold up the others
        log.exception("schedule_broke")
    return False
