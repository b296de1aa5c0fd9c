"""Named points of a workflow, at which a test may stop a worker as if it had been killed there."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar


async def _pass(_point: str) -> None:
    """Nobody waits there."""


watcher: ContextVar[Callable[[str], Awaitable[None]]] = ContextVar("watcher", default=_pass)


async def reach(point: str) -> None:
    """A workflow is at `point`, such as `deploy.begin`."""
    await watcher.get()(point)
