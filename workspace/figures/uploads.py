"""How much memory all processes of a free workspace use while twenty clients send large files at once, and read them."""

from __future__ import annotations

import asyncio
import base64
import sys
from collections.abc import Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_server.tests.harness import RunningServer, running_server

from figures.backtests import Memory, walk_csv

AT_ONCE = 20
# 2 MB of CSV.
BARS = 45_000
BOUND_MB = 512
TRIES = 20


async def call(client: Client, tool: str, **arguments: Any) -> bool:
    """Whether it was done, after as many tries as the workspace was too busy for."""
    for _ in range(TRIES):
        try:
            result = await client.call_tool(tool, arguments, read_timeout_seconds=300)
        except MCPError as error:
            if "busy" not in error.message:
                raise
            continue
        if result.is_error:
            raise SystemExit(f"{tool} failed: {result.content}")
        return True
    return False


async def everywhere(client: Client, tool: str, *arguments: dict[str, Any]) -> int:
    """How many of the calls, all at once, were done."""
    calls: list[Coroutine[Any, Any, bool]] = [call(client, tool, **each) for each in arguments]
    return sum(await asyncio.gather(*calls))


async def load(server: RunningServer, memory: Memory) -> list[str]:
    csv = walk_csv(BARS)
    names = [f"MY.W{number}" for number in range(AT_ONCE)]
    text = base64.b64encode(
        "\n\n".join(csv[part : part + 2000] for part in range(0, 1_500_000, 2000)).encode()
    ).decode()
    wishes: list[tuple[str, list[dict[str, Any]]]] = [
        ("run_backtest", [{"strategy": "sma_crossover", "symbol": "SPX"}]),
        ("import_bars", [{"symbol": name, "csv": csv} for name in names]),
        ("add_document", [{"name": f"{name}.md", "content_base64": text} for name in names]),
        ("get_bars", [{"symbol": name} for name in names]),
        ("run_backtest", [{"strategy": "sma_crossover", "symbol": name} for name in names]),
    ]
    lines = []

    def fresh(request: httpx2.Request) -> httpx2.Request:
        """A token lasts a minute."""
        request.headers.update(server.bearer())
        return request

    async with (
        httpx2.AsyncClient(auth=fresh, timeout=300) as http,
        Client(streamable_http_client(f"{server.url}/mcp", http_client=http)) as client,
    ):
        for tool, arguments in wishes:
            done = await everywhere(client, tool, *arguments)
            lines.append(f"{len(arguments)} x {tool} at once: {done} done, most memory until then {memory.peak:.0f} MB")
    return lines


async def run(folder: Path) -> float:
    with running_server(folder, Ed25519PrivateKey.generate(), options=["--tier", "free"]) as server:
        memory = Memory(server.process.pid)
        with memory.watched():
            lines = await load(server, memory)
    sys.stdout.write("\n".join(lines) + "\n")
    return memory.peak


def main() -> list[str]:
    with TemporaryDirectory() as folder:
        peak = asyncio.run(run(Path(folder)))
    return [f"{peak:.0f} MB for twenty uploads at once, {BOUND_MB} allowed"] if peak > BOUND_MB else []


if __name__ == "__main__":
    main()
