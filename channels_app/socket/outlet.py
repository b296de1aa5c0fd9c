"""The one sender of a socket: its own frames in order, and between them the events of the turns that it follows."""

import asyncio
from collections.abc import Callable

import structlog
from redis.exceptions import RedisError

from agents.journal import journal
from channels_app.protocol.events import is_final
from channels_app.protocol.server import ServerFrame
from channels_app.socket.asgi import Event, Send, close_event, text_event
from channels_app.socket.closing import Close
from channels_app.socket.tails import Tail, Tails
from gateway.mailbox import Bell

# Frames that wait for a slow client; past it the socket reads no more from that client.
WAITING_FRAMES = 64
# DESIGN: 60 s of silence closes; a client that takes no frame for so long is silent.
SEND_TIMEOUT_S = 60.0

log = structlog.get_logger(__name__)


class Outlet:
    """Sends to one client. Events are read from the journal only as fast as the client takes them.

    `on_lost` is told of a turn that has no journal; it is tried again at the next poll.
    """

    def __init__(self, send: Send, *, tails: Tails, on_lost: Callable[[Tail], None]) -> None:
        self._send_event, self._tails, self._on_lost = send, tails, on_lost
        self._waiting: list[ServerFrame | str | Close] = []
        self._work = Bell()
        # Only while there is none.
        self._room: asyncio.Event | None = None
        self._broken: BaseException | None = None
        self.closing = False

    async def put(self, frame: ServerFrame | str) -> None:
        """Send a frame (or its text) after those that wait already; waits itself while there are too many."""
        while len(self._waiting) >= WAITING_FRAMES:
            self._room = self._room or asyncio.Event()
            await self._room.wait()
        self.push(frame)

    def push(self, frame: ServerFrame | str | Close) -> None:
        """Send a frame of which a socket has but a few, however many wait."""
        self._waiting.append(frame)
        self._work.ring()

    def offer(self, frame: ServerFrame) -> bool:
        """Send a frame that may also be left out: nothing waits for a slow client, or for one that is gone."""
        if self.closing or len(self._waiting) >= WAITING_FRAMES:
            return False
        self.push(frame)
        return True

    def close(self, close: Close) -> None:
        """Close the socket once what waits was sent; later closes are ignored."""
        if not self.closing:
            self.closing = True
            self.push(close)

    def fail(self, error: BaseException) -> None:
        """Let `run` raise what broke beside it."""
        self._broken = error
        self._work.ring()

    def wake(self) -> None:
        """Some turn has events to be sent."""
        self._work.ring()

    async def run(self) -> None:
        """Send until the socket is closed, by us or by the client, or takes nothing for 60 s."""
        try:
            while True:
                await self._work.wait()
                if self._broken is not None:
                    raise self._broken
                if await self._send_waiting():
                    return
                for tail in self._tails.take_due():
                    await self._send_turn(tail)
        except OSError as error:
            # Servers raise OSErrors for a client that is gone; TimeoutError is one too.
            log.info("socket_send_stopped", reason=type(error).__name__)
        finally:
            self.closing = True

    async def _send_waiting(self) -> bool:
        """Send the socket's own frames; whether a close was among them."""
        while self._waiting:
            item = self._waiting.pop(0)
            self._make_room()
            if isinstance(item, Close):
                await self._send(close_event(item))
                return True
            await self._send(text_event(item if isinstance(item, str) else item.text()))
        return False

    def _make_room(self) -> None:
        if self._room is not None:
            room, self._room = self._room, None
            room.set()

    async def _send_turn(self, tail: Tail) -> None:
        """Send what the journal has past `tail.sent`, unless the socket is being closed.

        What could not be read now is read at the next poll.
        """
        try:
            found = await journal().read(tail.turn, after=tail.sent)
        except (RedisError, OSError) as error:
            log.warning("journal_unreachable", error=type(error).__name__)
            return
        if found is None:
            self._on_lost(tail)
            return
        for seq, frame in enumerate(found.frames, start=found.first):
            if self.closing or not self._tails.is_current(tail):
                return
            await self._send(text_event(frame))
            tail.sent = seq
        if found.frames and self._tails.is_current(tail) and is_final(found.frames[-1]):
            self._tails.end(tail.turn, last=tail.sent)

    async def _send(self, event: Event) -> None:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await self._send_event(event)
