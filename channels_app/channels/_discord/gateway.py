"""Discord's Gateway: a socket on which the bot hears direct messages. Source: discord.com/developers, "Gateway", "Opcodes".

A message counts as heard once `hear` has stored it; after a broken connection Discord sends again what came since.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from channels_app.channels._discord import api
from channels_app.channels._settings import setting
from channels_app.errors import DeliveryError
from gateway.ending import end

DISPATCH, HEARTBEAT, IDENTIFY, RESUME, RECONNECT, INVALID_SESSION, HELLO, HEARTBEAT_ACK = 0, 1, 2, 6, 7, 9, 10, 11
# Messages in direct messages, whose content needs no further intent.
DIRECT_MESSAGES = 1 << 12
# Source: "Gateway Close Event Codes": reconnecting helps nobody; the operator must change something.
FATAL = {
    4004: "the token is refused",
    4010: "the shard is not valid",
    4011: "sharding is required",
    4012: "the API version is not valid",
    4013: "the intents are not valid",
    4014: "the intents are not allowed",
}
# The session is over: the next connection begins another.
OVER = frozenset({4007, 4009})
# Any close code but 1000 and 1001, which would end the session.
UNHEALTHY = 4000
# What a restart must not forget.
KEPT_AFTER = frozenset({"READY", "MESSAGE_CREATE"})
HELLO_WITHIN_S = 20.0
LONGEST_WAIT_S = 60.0
# Between an invalid session and the next, "a random amount of time between 1 and 5 seconds".
INVALID_WAIT_S = 3.0
MAX_FRAME_BYTES = 4 * 1024 * 1024

# No connection, or one that does not speak as Discord does.
_AWAY = (OSError, InvalidHandshake, InvalidURI, TimeoutError, DeliveryError, ValueError, TypeError, KeyError)

Hear = Callable[[Any, str], Awaitable[None]]
Keep = Callable[["Session"], Awaitable[None]]

log = structlog.get_logger(__name__)


class GatewayRefused(Exception):
    """Discord does not let the bot in, and won't next time."""


@dataclass(slots=True)
class Session:
    """What a connection is resumed by; "" = there is none to resume."""

    id: str = ""
    url: str = ""
    seq: int | None = None
    bot_id: str = ""


@dataclass(slots=True)
class Gateway:
    """Hears until it is cancelled. `hear` is given a message and the bot's id, and returns once it is stored.

    `session` is one to resume, and `keep` is told of it as it goes on. `waits`: how much of each wait between two connections
    is waited for.
    """

    hear: Hear
    waits: float = 1.0
    session: Session = field(default_factory=Session)
    keep: Keep = field(default_factory=lambda: _keep_nothing)
    _acknowledged: bool = True

    async def run(self) -> None:
        """Connect, and connect again whenever the connection ends. Raises GatewayRefused."""
        failures = 0
        while True:
            try:
                await self._connection()
                failures = 0
            except ConnectionClosed as closed:
                self._look_at(closed)
                failures = 0
            except _AWAY as error:
                failures += 1
                self.session.url = ""
                log.warning("discord_gateway_away", error=type(error).__name__)
            await self._rest(min(2.0**failures, LONGEST_WAIT_S))

    async def _connection(self) -> None:
        """One connection, until either side ends it."""
        url = self.session.url or await _address()
        async with connect(f"{url}?v=10&encoding=json", max_size=MAX_FRAME_BYTES, ping_interval=None) as socket:
            async with asyncio.timeout(HELLO_WITHIN_S):
                hello = await _next(socket)
            if hello.get("op") != HELLO:
                raise ValueError("no hello")
            beating = asyncio.create_task(self._beat(socket, float(hello["d"]["heartbeat_interval"]) / 1000))
            try:
                await self._begin(socket)
                while await self._take(socket, await _next(socket)):
                    pass
            finally:
                await end([beating])
                # Also when this process ends: the session goes on in the next.
                await socket.close(UNHEALTHY)

    async def _begin(self, socket: ClientConnection) -> None:
        token, session = setting(api.BOT_TOKEN), self.session
        if session.id:
            await _send(socket, RESUME, {"token": token, "session_id": session.id, "seq": session.seq})
            return
        properties = {"os": "linux", "browser": "dexorder", "device": "dexorder"}
        await _send(socket, IDENTIFY, {"token": token, "intents": DIRECT_MESSAGES, "properties": properties})

    async def _take(self, socket: ClientConnection, frame: dict[str, Any]) -> bool:
        """Do what a frame says; False when it ends the connection."""
        kind = frame.get("op")
        if kind == DISPATCH:
            await self._dispatch(str(frame.get("t")), frame.get("d"))
            self.session.seq = frame.get("s")
            if frame.get("t") in KEPT_AFTER:
                await self.keep(self.session)
        elif kind == HEARTBEAT:
            await _send(socket, HEARTBEAT, self.session.seq)
        elif kind == HEARTBEAT_ACK:
            self._acknowledged = True
        elif kind == RECONNECT:
            await socket.close(UNHEALTHY)
            return False
        elif kind == INVALID_SESSION:
            if frame.get("d") is not True:
                self.session = Session()
            await self._rest(INVALID_WAIT_S)
            await socket.close(UNHEALTHY)
            return False
        return True

    async def _dispatch(self, event: str, data: Any) -> None:
        if event == "READY":
            self.session = Session(data["session_id"], data["resume_gateway_url"], None, data["user"]["id"])
            log.info("discord_gateway_ready")
        elif event == "MESSAGE_CREATE":
            await self.hear(data, self.session.bot_id)

    async def _beat(self, socket: ClientConnection, every_s: float) -> None:
        """Say that we are alive. A connection that does not answer is none."""
        self._acknowledged = True
        # Source: "Heartbeat": the first after a random part of the interval.
        await asyncio.sleep(every_s * random.random())  # noqa: S311 - spreads load; nobody gains by guessing it
        while self._acknowledged:
            self._acknowledged = False
            await _send(socket, HEARTBEAT, self.session.seq)
            await asyncio.sleep(every_s)
        await socket.close(UNHEALTHY)

    def _look_at(self, closed: ConnectionClosed) -> None:
        code = closed.rcvd.code if closed.rcvd else None
        if code in FATAL:
            raise GatewayRefused(FATAL[code]) from closed
        if code in OVER:
            self.session = Session()
        log.info("discord_gateway_closed", code=code)

    async def _rest(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self.waits)


async def _keep_nothing(_session: Session) -> None:
    """For a bot that begins anew."""


async def _address() -> str:
    answer = await api.call("GET", "/gateway/bot")
    url = answer.get("url") if isinstance(answer, dict) else None
    if not isinstance(url, str) or not url.startswith(("wss://", "ws://127.0.0.1:")):
        raise ValueError("no address")
    return url


async def _send(socket: ClientConnection, kind: int, data: Any) -> None:
    await socket.send(json.dumps({"op": kind, "d": data}))


async def _next(socket: ClientConnection) -> dict[str, Any]:
    """The next frame. Raises ValueError or TypeError for what is none."""
    frame = json.loads(await socket.recv())
    if not isinstance(frame, dict):
        raise TypeError("no frame")
    return frame
