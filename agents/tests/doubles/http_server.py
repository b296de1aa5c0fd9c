"""A small HTTP server on a free port that gives the replies it was told to, and keeps what it was asked."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Reply:
    """A status with a whole body; or, with `parts`, a chunked stream. Nothing comes before `after_s` seconds.

    `cut` ends the TCP connection after the last part instead of the stream; `held` sends nothing after what there is,
    and waits for the client to go away.
    """

    status: int = 200
    body: bytes = b"{}"
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    parts: tuple[bytes, ...] = ()
    cut: bool = False
    held: bool = False
    after_s: float = 0.0

    def head(self, framing: str) -> bytes:
        """Status line and headers."""
        lines = [f"HTTP/1.1 {self.status} Scripted", f"Content-Type: {self.content_type}", framing]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


@dataclass(frozen=True)
class Asked:
    """A request as it came in."""

    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class ScriptedServer:
    """Answers with `answer`. `left` is set whenever a client goes away from a reply that is held back."""

    answer: Callable[[Asked], Reply]
    asked: list[Asked] = field(default_factory=list)
    port: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)
    empty: asyncio.Event = field(default_factory=asyncio.Event)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen, on the port of an earlier start if there was one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and cut every connection."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self.empty.clear()
        try:
            while True:
                asked = await _request(reader)
                self.asked.append(asked)
                if not await self._send(self.answer(asked), reader, writer):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            self._open.discard(writer)
            writer.close()
            if not self._open:
                self.empty.set()

    async def _send(self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Send the reply; whether the connection may go on."""
        await asyncio.sleep(reply.after_s)
        if reply.parts:
            writer.write(reply.head("Transfer-Encoding: chunked"))
            for part in reply.parts:
                writer.write(b"%x\r\n%b\r\n" % (len(part), part))
                await writer.drain()
            if not reply.cut and not reply.held:
                writer.write(b"0\r\n\r\n")
        elif not reply.held:
            writer.write(reply.head(f"Content-Length: {len(reply.body)}") + reply.body)
        await writer.drain()
        if reply.held:
            await reader.read(1)
            self.left.set()
        return not reply.cut and not reply.held


@asynccontextmanager
async def answering_server(answer: Callable[[Asked], Reply]) -> AsyncIterator[ScriptedServer]:
    """A server on loopback for the time of the block."""
    server = ScriptedServer(answer)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def scripted_server(*replies: Reply) -> AsyncIterator[ScriptedServer]:
    """A server that gives the replies one by one, the last one again and again."""
    left = list(replies)
    async with answering_server(lambda _asked: left.pop(0) if len(left) > 1 else left[0]) as server:
        yield server


async def _request(reader: asyncio.StreamReader) -> Asked:
    head = await reader.readuntil(b"\r\n\r\n")
    request_line, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(request_line.split(" ")[1], headers, json.loads(body) if body else None)


def sse(*parts: bytes, cut: bool = False, held: bool = False) -> Reply:
    """A stream of server-sent events."""
    return Reply(content_type="text/event-stream", parts=parts, cut=cut, held=held)
