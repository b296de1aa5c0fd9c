"""What is in flight when the server is told to stop."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mcp_server.tests.harness import PATIENCE_S, call, get, post, running_server

# Its run over all bars takes longer than a stream lives that is ended at once.
SLOW = """
import time
def signals(bars):
    end = time.monotonic() + (0.8 if len(bars) == 500 else 0)
    while time.monotonic() < end:
        pass
    return bars["close"] * 0
"""
VALIDATE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "validate_strategy", "arguments": {"source": SLOW}},
}
# Of this version every answer is a stream of events.
STREAMED = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-06-18"}


async def test_a_call_in_flight_at_sigterm_is_answered(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    """Source: README, "requests in flight have 5 s": the SDK's event streams ended half a second after SIGTERM."""
    with running_server(tmp_path, key) as server:
        async with server.client() as client:
            await call(client, "validate_strategy", source="def signals(bars): return bars['close'] * 0")
        headers = {**server.bearer(), **STREAMED}
        asked = asyncio.create_task(
            asyncio.to_thread(post, f"{server.url}/mcp", json=VALIDATE, headers=headers, timeout=PATIENCE_S)
        )
        while not (await asyncio.to_thread(get, server.activity_url)).json()["running"]["backtests"]:
            pass
        server.process.send_signal(signal.SIGTERM)

        assert '"valid":true' in (await asked).text
        assert await asyncio.to_thread(server.process.wait, PATIENCE_S) == 0
