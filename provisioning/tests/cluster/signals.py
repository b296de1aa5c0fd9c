"""A flag that another thread may raise for a task that waits."""

import asyncio


class Signal:
    """Belongs to the event loop that it is made in; `set` may be called from anywhere."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._raised = False

    def set(self) -> None:
        """Wake who waits; costs nothing while the last call has not been noticed."""
        if not self._raised and not self._loop.is_closed():
            self._raised = True
            self._loop.call_soon_threadsafe(self._event.set)

    def clear(self) -> None:
        self._raised = False
        self._event.clear()

    async def wait(self) -> None:
        await self._event.wait()
