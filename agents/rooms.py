"""The worker of this event loop, for a message that is accepted in it and may begin at once."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol
from uuid import UUID
from weakref import WeakKeyDictionary

from accounts.licences import Licence
from agents.queue import Claim


class Room(Protocol):
    """A worker that may have room for one more turn."""

    @property
    def holder(self) -> UUID:
        """The id of its lease."""
        ...

    def free(self) -> bool:
        """Whether it would claim a turn now."""
        ...

    def take(self, claim: Claim, licence: Licence) -> None:
        """Run a turn that was claimed for it under the licence; one that is told to stop puts it back into the queue."""
        ...


_rooms: "WeakKeyDictionary[asyncio.AbstractEventLoop, Room]" = WeakKeyDictionary()


@contextmanager
def offered(room: Room) -> Iterator[None]:
    """Have the running loop's messages begin in `room` for as long as the context lasts, or until another is offered."""
    loop = asyncio.get_running_loop()
    _rooms[loop] = room
    try:
        yield
    finally:
        if _rooms.get(loop) is room:
            del _rooms[loop]


def room_here() -> Room | None:
    """The running loop's worker, if it has one with room."""
    room = _rooms.get(asyncio.get_running_loop())
    return room if room is not None and room.free() else None
