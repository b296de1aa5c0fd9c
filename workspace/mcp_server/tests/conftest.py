"""Fixtures of the server's tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mcp.client import Client

from mcp_server.sandbox import Sandbox
from mcp_server.storage.database import Database
from mcp_server.tests.deploying import Bench
from mcp_server.tests.harness import USER, RunningServer, call, running_server


@pytest.fixture(scope="session")
def key() -> Ed25519PrivateKey:
    """The gateway's signing key."""
    return Ed25519PrivateKey.generate()


@pytest.fixture(scope="session")
def lasting_server(key: Ed25519PrivateKey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server for one module after the other: it and the libraries that its jobs need take seconds to load."""
    with running_server(tmp_path_factory.mktemp("workspace"), key) as running:
        yield running


@pytest.fixture(scope="module")
def server(lasting_server: RunningServer) -> RunningServer:
    """A server that the tests of one module share, with nothing in it yet."""

    async def empty() -> None:
        async with lasting_server.client() as client:
            await call(client, "delete_data", confirm=USER)

    asyncio.run(empty())
    return lasting_server


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[Client]:
    """A connected client with a valid token, entered and left by one task as its cancel scopes demand."""
    connected: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
    leaving = asyncio.Event()

    async def own() -> None:
        async with server.client() as entered:
            connected.set_result(entered)
            await leaving.wait()

    owner = asyncio.create_task(own())
    waited: set[asyncio.Future[Any]] = {owner, connected}
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    yield connected.result()
    leaving.set()
    await owner


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty data file."""
    opened = Database(tmp_path, user=USER)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox that the tests share."""
    made = Sandbox(tier="pro")
    yield made
    made.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A desk over an empty data file."""
    opened = Bench(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def own_sandbox() -> Iterator[Sandbox]:
    """A sandbox for one test, of the tier that runs one job at a time."""
    made = Sandbox(tier="free")
    yield made
    made.close()
