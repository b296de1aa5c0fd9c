"""Rows brought in line with what runs: of workspaces that processes own, and, once noted, of any that has ended by itself."""

from uuid import UUID

import structlog

from provisioning import backends, holding, launching, rows, timekeeping
from provisioning.backends import Finding
from provisioning.flights import flights
from provisioning.models import State
from provisioning.rows import Row

log = structlog.get_logger(__name__)


async def settle(row: Row, holder: UUID) -> None:
    """Bring one row in line that `holder` holds, or that no live process does."""
    backend = backends.backend()
    if row.state == State.READY and row.holder == holder:
        if not backend.alive(row.instance):
            await note_ended(row)
    elif flights().lock(row.name).locked():
        return
    elif row.state == State.READY and backend.alive(row.instance) and await backend.serves(row.user_id, row.instance):
        await launching.adopt(row, holder)
    else:
        # Half started or half stopped by a process that is dead, or ended while it had no owner.
        async with launching.ending(row.name, seen=row):
            pass


async def note_ended(row: Row) -> None:
    """A running workspace has ended, by its sidecar's hand or another's."""
    await timekeeping.count_rest(row.name)
    if await rows.note_ended(row):
        log.info("workspace_ended_by_itself", workspace=row.name)


async def settle_all(*, backend: str, dry_run: bool) -> list[Finding]:
    """Bring the rows in line that no live process holds, once; on a dry run only say which. Raises psycopg.Error."""
    findings: list[Finding] = []
    async with holding.holder() as holder:
        for row in await rows.kept_or_orphaned(holder, backend=backend):
            found, done = _drift(row)
            if found and not dry_run:
                await settle(row, holder)
            if found:
                findings.append(Finding(row.name, row.user_id, found, done))
    return findings


def _drift(row: Row) -> tuple[str, str]:
    if row.state != State.READY:
        return (f"{row.state} in the table, and no gateway is at it", "end it") if not row.held else ("", "")
    alive = backends.backend().alive(row.instance)
    return ("", "") if alive else ("ready in the table, and does not run", "note that it has ended")
