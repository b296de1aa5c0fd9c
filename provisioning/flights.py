"""Work on one workspace in this process: done once at a time, its stages told to everyone who waits for it."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from provisioning.backends import Instance
from provisioning.errors import Cause, WorkspaceFailed
from provisioning.stages import OnStage, StageReport


class Flight:
    """A start under way, and those who wait for it."""

    def __init__(self, work: Callable[["Flight"], Coroutine[Any, Any, Instance]]) -> None:
        self._reports: list[StageReport] = []
        self._moved = asyncio.Event()
        self._ended_by = Cause.STOPPED
        self.task = asyncio.create_task(work(self))
        self.task.add_done_callback(self._done)

    def publish(self, report: StageReport) -> None:
        """Tell everyone who waits, unless it is what they were told last."""
        if not self._reports or self._reports[-1] != report:
            self._reports.append(report)
            self._wake()

    def follow(self, on_stage: OnStage | None) -> Coroutine[Any, Any, Instance]:
        """Wait for the end, awaiting `on_stage` with each stage, beginning with the one it is in at this call.

        Raises what the start raised, WorkspaceFailed when it was cancelled, and whatever `on_stage` raises; the start
        itself goes on without this waiter.
        """
        return self._follow(on_stage, told=max(len(self._reports) - 1, 0))

    async def _follow(self, on_stage: OnStage | None, *, told: int) -> Instance:
        while on_stage is not None:
            moved, done = self._moved, self.task.done()
            for report in self._reports[told:]:
                told += 1
                await on_stage(report)
            if done:
                break
            await moved.wait()
        await asyncio.wait([self.task])
        if self.task.cancelled():
            raise WorkspaceFailed(self._ended_by)
        return self.task.result()

    async def cancel(self, cause: Cause) -> None:
        """End the start; those who wait get WorkspaceFailed with `cause`."""
        # A second cancellation would break off the tidying up after the first.
        if not self.task.cancelling():
            self._ended_by = cause
            self.task.cancel()
        await asyncio.wait([self.task])

    def _done(self, task: "asyncio.Task[Instance]") -> None:
        # Taken note of here, since everyone who waited may have gone.
        if not task.cancelled():
            task.exception()
        self._wake()

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()


@dataclass
class Flights:
    """The starts under way in one event loop, by workspace and whether a live answer was asked for."""

    under_way: dict[tuple[str, bool], Flight] = field(default_factory=dict)
    closing: bool = False
    _locks: "WeakValueDictionary[str, asyncio.Lock]" = field(default_factory=WeakValueDictionary)

    def lock(self, name: str) -> asyncio.Lock:
        """Held by whoever starts or stops this workspace; kept while somebody has it."""
        return self._locks.setdefault(name, asyncio.Lock())

    def join(self, name: str, *, fresh: bool, work: Callable[[Flight], Coroutine[Any, Any, Instance]]) -> Flight:
        """The flight under way, or a new one that does `work` once nothing else is done to this workspace.

        Raises WorkspaceFailed when the process is about to end.
        """
        key = (name, fresh)
        if key in self.under_way:
            return self.under_way[key]
        if self.closing:
            raise WorkspaceFailed(Cause.SHUTTING_DOWN)

        async def alone(flight: Flight) -> Instance:
            async with self.lock(name):
                return await work(flight)

        flight = self.under_way[key] = Flight(alone)
        flight.task.add_done_callback(lambda _: self.under_way.pop(key))
        return flight

    async def cancel(self, *, cause: Cause, name: str | None = None) -> None:
        """End the starts of this workspace, or of all."""
        ending = [flight for (known_as, _), flight in self.under_way.items() if name in {None, known_as}]
        await asyncio.gather(*(flight.cancel(cause) for flight in ending))


_flights: "WeakKeyDictionary[asyncio.AbstractEventLoop, Flights]" = WeakKeyDictionary()


def flights() -> Flights:
    """The flights of the running event loop."""
    return _flights.setdefault(asyncio.get_running_loop(), Flights())
