"""Start a user's workspace before the agent needs it; nobody waits for it here."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from accounts.licences import Licence
from provisioning.errors import WorkspaceFailed
from provisioning.stages import StageReport
from provisioning.workspaces import ensure_workspace

Listener = Callable[[str, str], Awaitable[None]]

log = structlog.get_logger(__name__)

# The event loop itself keeps only weak references to its tasks.
_running: set[asyncio.Task[None]] = set()


def begin(licence: Licence, *, tell: Listener) -> asyncio.Task[None]:
    """Begin to ensure the user's workspace; `tell(state, detail)` hears its stages, and `failed` with the reason.

    It goes on when the caller is gone: the user will be back, and the workspace stops by itself when idle.
    """
    task = asyncio.create_task(_ensure(licence, tell), name="warm up a workspace")
    _running.add(task)
    task.add_done_callback(_running.discard)
    return task


async def _ensure(licence: Licence, tell: Listener) -> None:
    async def on_stage(report: StageReport) -> None:
        await tell(report.stage, report.detail)

    try:
        await ensure_workspace(licence, on_stage=on_stage)
    except WorkspaceFailed as error:
        log.warning("workspace_not_started", cause=str(error.cause))
        await tell("failed", error.message)
