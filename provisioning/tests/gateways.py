"""Licences and gateway processes for tests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from accounts.licences import Licence
from accounts.tiers import features_of, limits_of
from gateway.leases import Lease
from gateway.services import Services
from gateway.wakeups import Wakeups
from provisioning import keeper, rows
from provisioning.backends._kubernetes.starting import SILENT
from provisioning.names import workspace_name


def licence_of(user_id: str, *, mcp_server_url: str = "", **limits: object) -> Licence:
    """A pro licence, with the tier's limits but for those given."""
    return Licence(
        user_id=user_id,
        email="",
        tier="pro",
        features=features_of("pro", {}),
        limits=limits_of("pro", limits),
        mcp_server_url=mcp_server_url,
        expires_at=None,
    )


@asynccontextmanager
async def gateway_keeper() -> AsyncIterator[Services]:
    """The keeper of a gateway process, running inside the block and told to stop at its end."""
    services = Services(lease=Lease("gateway"), wakeups=Wakeups())
    await asyncio.to_thread(services.lease.acquire)
    kept = asyncio.create_task(keeper.run(services))
    await asyncio.sleep(0)
    listening = asyncio.create_task(services.wakeups.run())
    try:
        yield services
    finally:
        services.stopping.set()
        await kept
        listening.cancel()
        await asyncio.wait([listening])
        await asyncio.to_thread(services.lease.release)


async def until(condition: Callable[[], Awaitable[bool]], *, within_s: float = 20.0) -> None:
    """Wait until the condition holds; fails after `within_s`."""
    async with asyncio.timeout(within_s):
        while not await condition():  # noqa: ASYNC110 - what is waited for happens in other processes
            await asyncio.sleep(0.02)


async def waits_for_a_silent_server() -> bool:
    """Whether a start of demo-pro's workspace waits to know what becomes of a server that does not answer."""
    row = await rows.find(workspace_name("demo-pro"))
    return row is not None and row.stage_detail == SILENT
