"""Start a user's workspace before the agent needs it; nobody waits for it here."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import psycopg
import structlog

from accounts.licences import Licence, NotLicensed, active_licence
from provisioning.errors import WorkspaceFailed
from provisioning.stages import StageReport
from provisioning.workspaces import ensure_workspace

Listener = Callable[[str, str], Awaitable[None]]

log = structlog.get_logger(__name__)

# The event loop itself keeps only weak references to its tasks.
_running: set[asyncio.Task[None]] = set()


async def to_nobody(_state: str, _detail: str) -> None:
    """Who is in a chat or on the account page is not told of the stages: an answer says what went wrong."""


def begin(licence: Licence, *, tell: Listener = to_nobody) -> asyncio.Task[None]:
    """Begin to ensure the user's workspace; `tell(state, detail)` hears its stages, and `failed` with the reason.

    It goes on when the caller is gone: the user will be back, and the workspace stops by itself when idle.
    """
    return _spawn(_ensure(licence, tell))


def begin_for(user_id: str) -> asyncio.Task[None]:
    """The same for a user whose licence has not been read; nothing begins without one."""
    return _spawn(_ensure_for(user_id))


async def finished() -> None:
    """Return when nothing begins any more in this process."""
    while _running:
        await asyncio.gather(*_running)


def _spawn(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.create_task(work, name="warm up a workspace")
    _running.add(task)
    task.add_done_callback(_running.discard)
    return task


async def _ensure_for(user_id: str) -> None:
    try:
        licence = await active_licence(user_id)
    except NotLicensed:
        return
    except psycopg.OperationalError as error:
        log.warning("workspace_not_begun", error=type(error).__name__)
        return
    await _ensure(licence, to_nobody)


async def _ensure(licence: Licence, tell: Listener) -> None:
    async def on_stage(report: StageReport) -> None:
        await tell(report.stage, report.detail)

    try:
        await ensure_workspace(licence, on_stage=on_stage)
    except WorkspaceFailed as error:
        log.warning("workspace_not_started", cause=str(error.cause))
        await tell("failed", error.message)
