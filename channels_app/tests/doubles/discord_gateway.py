"""Discord's Gateway on loopback: it says what the test lets it say, and keeps what it was told."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from channels_app.channels._discord import gateway


@dataclass
class GatewayServer:
    """Each connection gets a hello; `told` are all frames of clients, `connections` those that are open, in order."""

    interval_ms: float = 60_000
    told: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    connections: list[ServerConnection] = field(default_factory=list)
    acknowledging: bool = True
    url: str = ""

    async def client(self, socket: ServerConnection) -> None:
        """Serve one connection."""
        self.connections.append(socket)
        await self.say(gateway.HELLO, {"heartbeat_interval": self.interval_ms})
        try:
            async for text in socket:
                frame = json.loads(text)
                if frame["op"] == gateway.HEARTBEAT and self.acknowledging:
                    await socket.send(json.dumps({"op": gateway.HEARTBEAT_ACK}))
                await self.told.put(frame)
        except ConnectionClosed:
            return

    async def say(self, kind: int, data: Any = None, **more: Any) -> None:
        """Send a frame on the newest connection."""
        await self.connections[-1].send(json.dumps({"op": kind, "d": data} | more))

    async def dispatch(self, event: str, data: Any, seq: int) -> None:
        """Send an event."""
        await self.say(gateway.DISPATCH, data, t=event, s=seq)

    async def ready(self, *, seq: int = 1) -> None:
        """The session has begun."""
        data = {"session_id": "session", "resume_gateway_url": self.url, "user": {"id": "1"}}
        await self.dispatch("READY", data, seq)

    async def next(self, *kinds: int) -> dict[str, Any]:
        """The next frame of such a kind."""
        async with asyncio.timeout(60):
            while (frame := await self.told.get())["op"] not in kinds:
                pass
        return frame


@asynccontextmanager
async def gateway_server(**options: Any) -> AsyncIterator[GatewayServer]:
    """The server for the time of the block."""
    server = GatewayServer(**options)
    async with serve(server.client, "127.0.0.1", 0) as listening:
        server.url = f"ws://127.0.0.1:{next(iter(listening.sockets)).getsockname()[1]}"
        yield server
