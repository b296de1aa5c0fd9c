"""The lease under which this process holds workspaces."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from gateway.leases import Lease


class _Process:
    """What is true of the whole process."""

    lease: Lease | None = None


def hold_with(lease: Lease | None) -> None:
    """From now on this process owns, under `lease`, the workspaces that it starts; None = it owns none."""
    _Process.lease = lease


def process_holder() -> UUID | None:
    """The lease of a process that keeps workspaces; None in one that doesn't, e.g. a command."""
    lease = _Process.lease
    return lease.id if lease is not None and not lease.lost.is_set() else None


@asynccontextmanager
async def holder() -> AsyncIterator[UUID]:
    """A live lease for one operation: the process's own, or one made for it.

    Raises psycopg.Error when a lease is needed and the database can't be reached.
    """
    own = process_holder()
    if own is not None:
        yield own
        return
    lease = Lease()
    await asyncio.to_thread(lease.acquire)
    try:
        yield lease.id
    finally:
        await asyncio.to_thread(lease.release)
