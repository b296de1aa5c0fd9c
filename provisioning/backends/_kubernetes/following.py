"""What a gateway does for workspaces that nobody owns: note which have ended, and reconcile from time to time."""

import asyncio
import random

import psycopg
import structlog
from django.core.exceptions import ImproperlyConfigured

from provisioning import launching, rows
from provisioning.backends._kubernetes.cluster import Cluster, cluster
from provisioning.backends._kubernetes.demand import Demand
from provisioning.backends._kubernetes.errors import ApiFailed
from provisioning.backends._kubernetes.keys import publish_keys
from provisioning.backends._kubernetes.reconciling import reconcile
from provisioning.settling import note_ended

# Between two comparisons of everything; drawn so that several gateways share the work.
RECONCILE_S = 60.0
# Changes come in bursts: a start is a dozen.
GATHER_S = 0.5
AGAIN_S = 5.0

log = structlog.get_logger(__name__)


async def follow(*, backend: str, marks: Demand) -> None:
    """Follow the cluster until cancelled; a cluster or a database that is away is waited for."""
    while True:
        try:
            found = await cluster()
            await publish_keys(found)
            async with asyncio.TaskGroup() as group:
                group.create_task(_note(found, backend=backend, marks=marks))
                group.create_task(_reconcile(found))
                group.create_task(_tell_silence(found))
        except* (ApiFailed, ImproperlyConfigured) as group:
            log.error("kubernetes_away", error=str(group.exceptions[0]))  # noqa: TRY400 - where from is of no interest
        except* Exception:
            # The process's other services would end with it, and that for as long as what nobody foresaw lasts.
            log.exception("kubernetes_following_broke_unforeseen")
        await asyncio.sleep(AGAIN_S)


async def _note(found: Cluster, *, backend: str, marks: Demand) -> None:
    while True:
        await found.stir.wait()
        await asyncio.sleep(GATHER_S)
        found.stir.clear()
        stirred, found.stirred = found.stirred, set()
        try:
            await note(found, stirred, backend=backend, marks=marks)
        except psycopg.Error as error:
            log.warning("workspace_changes_not_noted", error=type(error).__name__)
            found.stirred |= stirred


async def note(found: Cluster, names: set[str], *, backend: str, marks: Demand) -> None:
    """Note which of these workspaces do not run any more, and forget their marks. Raises psycopg.Error."""
    launching.forget_ended()
    down = {name for name in names if not found.look(name).up}
    for name in down:
        marks.forget(name)
    if down:
        for row in await rows.running(down, backend=backend):
            # A start may have brought it up since.
            if not found.look(row.name).up:
                await note_ended(row)


async def _tell_silence(found: Cluster) -> None:
    while True:
        found.tell_silence()
        await asyncio.sleep(AGAIN_S)


async def _reconcile(found: Cluster) -> None:
    while True:
        await asyncio.sleep(RECONCILE_S * (0.5 + random.random()))  # noqa: S311 - no secret
        try:
            await reconcile(found, dry_run=False)
        except psycopg.Error as error:
            log.warning("workspace_reconcile_failed", error=type(error).__name__)
