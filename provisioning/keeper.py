"""What a gateway process does for the workspaces that run: shows that their owner lives, adopts those that have none,
tidies up after those that have ended, and at its own end hands them over or stops them. Those that a cluster keeps are only
followed.
"""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import structlog

from accounts.standing import licence_terms
from gateway.ending import end
from gateway.services import Services
from gateway.wakeups import Signal
from provisioning import backends, holding, launching, metrics, rows, timekeeping
from provisioning.errors import Cause
from provisioning.flights import flights
from provisioning.idle_times import idle_by
from provisioning.models import State
from provisioning.rows import Row
from provisioning.settling import settle

# A sidecar gives up its owner after six of these.
HEARTBEAT_S = 5.0
# A licence that has changed is noticed by the next use; this is for one whose user does not come back.
LICENCES_S = 60.0
# A gateway adopts within milliseconds of the notification; one that hasn't after this is about to end as well.
ADOPTION_S = 2.0
POLL_S = 0.05

log = structlog.get_logger(__name__)


async def run(services: Services) -> None:
    """Keep this process's workspaces until `services.stopping`; then none is left that nobody owns.

    When it stops because the lease is lost, nothing is ended: whoever is there first adopts the workspaces, another process
    or this one under its next lease. Raises psycopg.Error when the database can't be reached at the end.
    """
    holder, backend = services.lease.id, backends.backend()
    holding.hold_with(services.lease)
    flights().closing = False
    signal = services.wakeups.on(rows.WAKEUP)
    try:
        async with asyncio.TaskGroup() as group:
            keeping = _owning(holder, signal) if backend.owned else [backend.follow(), _measure()]
            loops = [group.create_task(each) for each in (*keeping, _count_time(holder))]
            await services.stopping.wait()
            await end(loops)
        if not services.lease.lost.is_set():
            await _leave(holder)
    finally:
        holding.hold_with(None)


def _owning(holder: UUID, signal: Signal) -> list[Coroutine[Any, Any, None]]:
    """What the owner of workspaces does for them."""
    return [_beat(holder), _reconcile(holder, signal), _follow_licences(holder)]


async def _follow_licences(holder: UUID) -> None:
    while True:
        await asyncio.sleep(LICENCES_S)
        try:
            await heed_licences(holder)
        except psycopg.Error as error:
            log.warning("workspace_licences_not_followed", error=type(error).__name__)


async def heed_licences(holder: UUID) -> None:
    """Have this process's workspaces stop by what their users' licences say by now. Raises psycopg.Error."""
    backend = backends.backend()
    found = await rows.kept_or_orphaned(holder, backend=backend.name)
    ready = [row for row in found if row.state == State.READY and row.holder == holder]
    terms, now = await licence_terms({row.user_id for row in ready}), datetime.now(UTC)
    await backend.heed({row.name: idle_by(terms.get(row.user_id), now=now) for row in ready})


async def _beat(holder: UUID) -> None:
    backend = backends.backend()
    names: list[str] = []
    while True:
        try:
            names = await rows.held_by(holder, backend=backend.name)
        except psycopg.Error as error:
            # Users' workspaces need not end because the database is away: those last known are kept.
            log.warning("workspace_heartbeat_from_memory", error=type(error).__name__)
        await backend.heartbeat(names)
        await asyncio.sleep(HEARTBEAT_S)


async def _count_time(holder: UUID) -> None:
    while True:
        await asyncio.sleep(timekeeping.COUNT_EVERY_S)
        try:
            await _count(holder)
        except psycopg.Error as error:
            log.warning("workspace_time_not_counted", error=type(error).__name__)


async def _count(holder: UUID) -> None:
    backend = backends.backend()
    if backend.owned:
        await timekeeping.count_owned(holder, backend=backend.name)
    else:
        await timekeeping.count_unowned(backend=backend.name)


async def _measure() -> None:
    while True:
        try:
            await measure()
        except psycopg.Error as error:
            log.warning("workspaces_not_counted", error=type(error).__name__)
        await asyncio.sleep(HEARTBEAT_S)


async def measure() -> None:
    """Tell the monitoring how many workspaces there are in each state. Raises psycopg.Error."""
    counts = await rows.count_by_state()
    for state in State:
        metrics.WORKSPACES.labels(state.value).set(counts.get(state.value, 0))


async def _reconcile(holder: UUID, signal: Signal) -> None:
    while True:
        try:
            await reconcile(holder)
        except psycopg.Error as error:
            log.warning("workspace_reconcile_failed", error=type(error).__name__)
        await signal.wait(timeout_s=HEARTBEAT_S)


async def reconcile(holder: UUID) -> None:
    """Bring the rows of this process, and those that no live process holds, in line with what runs."""
    launching.forget_ended()
    found = await rows.kept_or_orphaned(holder, backend=backends.backend().name)
    await asyncio.gather(*(settle(row, holder) for row in found))
    await measure()


async def _leave(holder: UUID) -> None:
    flights().closing = True
    await flights().cancel(cause=Cause.SHUTTING_DOWN)
    if not backends.backend().owned:
        return
    names = await rows.hand_over(holder, backend=backends.backend().name)
    if names and await rows.another_process_lives(holder):
        await _wait_for_adoption(names)
    left = await rows.unadopted(names)
    await asyncio.gather(*(_stop(row) for row in left))


async def _wait_for_adoption(names: list[str]) -> None:
    for _ in range(round(ADOPTION_S / POLL_S)):
        if not await rows.unadopted(names):
            return
        await asyncio.sleep(POLL_S)


async def _stop(row: Row) -> None:
    async with launching.ending(row.name, seen=row):
        pass
