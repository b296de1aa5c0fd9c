"""Start, stop and restart several workspaces, as staff does from the admin."""

import asyncio
from collections.abc import Awaitable, Callable, Collection

import structlog

from accounts.licences import NotLicensed, active_licence
from provisioning.errors import WorkspaceFailed
from provisioning.workspaces import ensure_workspace, stop_workspace

# A start goes on by itself: this is how long the page waits for those that fail at once.
BEGINS_WITHIN_S = 1.0
# A stop takes as long as the server's grace.
AT_ONCE = 8

log = structlog.get_logger(__name__)


async def start_all(user_ids: Collection[str]) -> dict[str, str]:
    """Begin to start the workspaces; why some did not, by user."""
    return await _all(user_ids, _begin)


async def stop_all(user_ids: Collection[str]) -> dict[str, str]:
    """Stop the workspaces; why some did not, by user."""
    return await _all(user_ids, stop_workspace)


async def restart_all(user_ids: Collection[str]) -> dict[str, str]:
    """Stop the workspaces and begin to start them again; why some did not, by user."""

    async def restart(user_id: str) -> None:
        await stop_workspace(user_id)
        await _begin(user_id)

    return await _all(user_ids, restart)


async def _begin(user_id: str) -> None:
    start = asyncio.create_task(_start(user_id))
    done, waiting = await asyncio.wait([start], timeout=BEGINS_WITHIN_S)
    for each in done:
        each.result()
    for each in waiting:
        # Only this waiter goes; the start itself is another task.
        each.cancel()


async def _start(user_id: str) -> None:
    await ensure_workspace(await active_licence(user_id))


async def _all(user_ids: Collection[str], act: Callable[[str], Awaitable[None]]) -> dict[str, str]:
    places = asyncio.Semaphore(AT_ONCE)

    async def one(user_id: str) -> tuple[str, str]:
        async with places:
            try:
                await act(user_id)
            except (WorkspaceFailed, NotLicensed) as error:
                log.warning("workspace_action_failed", error=str(error))
                return user_id, str(error)
        return user_id, ""

    outcomes = await asyncio.gather(*(one(user_id) for user_id in user_ids))
    return {user_id: why for user_id, why in outcomes if why}
