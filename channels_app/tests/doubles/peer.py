"""An HTTP server on loopback that does what it was told, keeps what it was asked, and knows what a user would see."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

PATIENCE_S = 10


@dataclass(frozen=True)
class Call:
    """A request; `body` is its JSON."""

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw) if self.raw else None


@dataclass(frozen=True)
class Reply:
    """What the server answers. `cut`: it closes the connection after it has read the request. `held`: it answers once released.

    `done`: what was asked for is done all the same.
    """

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    done: bool = False
    held: bool = False


HELD = Reply(held=True, done=True)
CUT = Reply(cut=True)
CUT_WHEN_DONE = Reply(cut=True, done=True)


@dataclass
class Shown:
    """A message that a user sees in a chat."""

    chat: str
    text: str
    buttons: list[tuple[str, str]] = field(default_factory=list)
    hidden: bool = False
    streaming: bool = False


@dataclass
class Peer:
    """Replies in the order of `script`, then, and where that has None, as the platform would.

    `shown` holds its messages by their ids, in order.
    """

    calls: list[Call] = field(default_factory=list)
    script: deque[Reply | None] = field(default_factory=deque)
    shown: dict[str, Shown] = field(default_factory=dict)
    notices: list[tuple[str, str]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    port: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _served: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def after(self, calls: int, reply: Reply) -> None:
        """Script a reply to what comes after that many calls, which are answered as the platform would."""
        self.script.extend([*[None] * calls, reply])

    def texts(self, chat: str) -> list[str]:
        """What stands in a chat."""
        return [message.text for message in self.shown.values() if message.chat == chat]

    def answer(self, call: Call) -> Reply:
        """As the platform does."""
        raise NotImplementedError

    def file(self, call: Call) -> Reply:
        """A file that somebody sent."""
        found = self.files.get(call.path)
        return Reply(404, {}) if found is None else Reply(200, found, {"Content-Type": "application/octet-stream"})

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what was asked fulfils the condition."""
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(condition)

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self._served.add(asyncio.create_task(self._serve(reader, writer)))

    async def stop(self) -> None:
        """Cut every connection, whatever it waits for."""
        for task in self._served:
            task.cancel()
        await asyncio.gather(*self._served, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._take(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        call = await _read(reader)
        self.calls.append(call)
        scripted = self.script.popleft() if self.script else None
        made = self.answer(call) if scripted is None or scripted.done else Reply()
        reply = scripted or made
        async with self._changed:
            self._changed.notify_all()
        if reply.held:
            await self.released.wait()
            reply = made
        if reply.cut:
            return False
        writer.write(_bytes(reply))
        await writer.drain()
        return True


def _bytes(reply: Reply) -> bytes:
    body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))} | reply.headers
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {reply.status} Scripted\r\n{head}\r\n".encode() + body


async def _read(reader: asyncio.StreamReader) -> Call:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    request_line, *lines = head.split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    method, path, _ = request_line.split(" ")
    return Call(method, path, headers, body)


@asynccontextmanager
async def serving_peer(peer: Peer) -> AsyncIterator[None]:
    """The server for the time of the block."""
    server = await asyncio.start_server(peer.connected, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        server.close()
        await peer.stop()
        await server.wait_closed()
