"""The gateway behind a real server on loopback, and clients of it whose every frame is checked against the schema."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
import uvicorn
from asgiref.sync import sync_to_async
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from accounts.issuer import issue_token
from channels_app.tests.schemas import check_server_frame

PATIENCE_S = 10
# What a frame has set off comes within this time; a machine under load makes a test of it weaker, not wrong.
QUIET_S = 0.3
ORIGIN = "http://localhost:3000"
HOUR = timedelta(hours=1)


@asynccontextmanager
async def serving(app: Any, **options: Any) -> AsyncIterator[str]:
    """Serve an ASGI app on a free port of loopback; yields `127.0.0.1:<port>`."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=2, **options
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.005)
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        try:
            await task
        finally:
            listener.close()


async def token_of(user_id: str, *, ttl: timedelta = HOUR) -> str:
    """A token of the development issuer, whose key is made at first (off the loop)."""
    return await sync_to_async(issue_token)(user_id, ttl=ttl)


@dataclass
class Client:
    """A client of `/ws/chat`; what it has received stands in `frames`."""

    connection: ClientConnection
    frames: list[dict[str, Any]] = field(default_factory=list)
    patience_s: float = PATIENCE_S

    async def send(self, kind: str, **fields: Any) -> None:
        """Send a frame."""
        await self.connection.send(json.dumps({"type": kind, **fields}))

    async def next(self) -> dict[str, Any]:
        """The next frame."""
        async with asyncio.timeout(self.patience_s):
            text = await self.connection.recv()
        assert isinstance(text, str)
        frame: dict[str, Any] = json.loads(text)
        check_server_frame(frame)
        self.frames.append(frame)
        return frame

    async def until(self, *kinds: str) -> dict[str, Any]:
        """The next frame of one of these types; what comes before stands in `frames`."""
        while (frame := await self.next())["type"] not in kinds:
            pass
        return frame

    async def quiet(self) -> None:
        """Assert that nothing comes: before the `pong` to a `ping`, or in the moment after it."""
        await self.send("ping")
        assert (await self.next())["type"] == "pong"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(QUIET_S):
                await self.next()

    async def closed(self) -> tuple[int, str]:
        """Code and reason of the server's close; frames before it stand in `frames`."""
        with pytest.raises(ConnectionClosed) as end:
            await self._drain()
        assert end.value.rcvd is not None
        return end.value.rcvd.code, end.value.rcvd.reason

    async def _drain(self) -> None:
        while True:
            await self.next()

    def events(self, turn: str) -> list[dict[str, Any]]:
        """The events of a turn that have come."""
        return [frame for frame in self.frames if frame.get("turn") == turn and "seq" in frame]


@asynccontextmanager
async def client_of(host: str, user_id: str, *, ttl: timedelta = HOUR, **options: Any) -> AsyncIterator[Client]:
    """A client that speaks for `user_id` with a bearer token."""
    headers = {"Authorization": f"Bearer {await token_of(user_id, ttl=ttl)}"}
    async with connect(f"ws://{host}/ws/chat", additional_headers=headers, max_size=None, **options) as connection:
        yield Client(connection)


@asynccontextmanager
async def ready_client(host: str, user_id: str, **options: Any) -> AsyncIterator[Client]:
    """The same, after `ready` and the workspace's `ready`."""
    async with client_of(host, user_id, **options) as client:
        await client.until("ready")
        while (await client.until("status"))["state"] != "ready":
            pass
        yield client


@asynccontextmanager
async def http_of(host: str, user_id: str | None = None, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the gateway that speaks for `user_id`, or for nobody."""
    if user_id is not None:
        headers["Authorization"] = f"Bearer {await token_of(user_id)}"
    async with httpx.AsyncClient(base_url=f"http://{host}", headers=headers, timeout=PATIENCE_S) as client:
        yield client


def error_code(response: httpx.Response, status: int) -> str:
    """The code of a refusal in the one form that all of them have."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"code", "message", "request_id"}
    assert error["message"]
    assert error["request_id"] == response.headers["X-Request-Id"]
    code: str = error["code"]
    return code
