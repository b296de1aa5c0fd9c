"""The order of a model's tool calls: those that only read run side by side, one that writes runs alone, in its place."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Call:
    id: str
    reads: bool
    begun: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)


class CallOrder:
    """The calls of one message, as (id, whether it only reads), in the model's order."""

    def __init__(self, calls: Sequence[tuple[str, bool]] = ()) -> None:
        self._calls = [_Call(*call) for call in calls]

    @asynccontextmanager
    async def turn_of(self, call_id: str) -> AsyncIterator[None]:
        """Wait until the call may run; what comes after it waits for the end of the block."""
        place = next((i for i, each in enumerate(self._calls) if each.id == call_id and not each.begun), None)
        if place is None:
            yield
            return
        call = self._calls[place]
        call.begun = True
        try:
            for before in self._calls[:place]:
                if not (call.reads and before.reads):
                    await before.over.wait()
            yield
        finally:
            call.over.set()
