"""A loopback proxy that adds a fresh token to each request, for a client that can't send headers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

END_OF_HEAD = b"\r\n\r\n"


@contextlib.asynccontextmanager
async def token_proxy(port: int, token: Callable[[], str]) -> AsyncIterator[int]:
    """Pass every byte on to the loopback `port` and back, but for the token in each head; gives the proxy's port.

    A connection is for one request, as its head is told: the next one comes over a new connection, with a new token.
    """

    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = asyncio.current_task()
        assert own is not None
        connections.add(own)
        try:
            await _serve(reader, writer, port, token)
        finally:
            connections.discard(own)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    # A stream that its client left open.
    left = list(connections)
    for connection in left:
        connection.cancel()
    await asyncio.gather(*left, return_exceptions=True)


async def _serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, token: Callable[[], str]
) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        first, *lines = (await reader.readuntil(END_OF_HEAD)).removesuffix(END_OF_HEAD).split(b"\r\n")
        kept = [line for line in lines if not line.lower().startswith(b"connection:")]
        head = [first, *kept, b"connection: close", b"authorization: Bearer " + token().encode()]
        answers, upstream = await asyncio.open_connection("127.0.0.1", port)
        try:
            upstream.write(b"\r\n".join(head) + END_OF_HEAD)
            await asyncio.gather(_pass_on(reader, upstream), _pass_on(answers, writer))
        finally:
            upstream.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
