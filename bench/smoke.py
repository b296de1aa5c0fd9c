"""Print what one process of the gateway needs: memory after 100 turns, and the time from page to first token.

    python -m bench.smoke [--turns 100]

Starts the gateway as a newcomer does (its own PostgreSQL, the demo provider, one workspace) in a temporary folder, speaks
to it over its WebSocket, and stops it. Asserts nothing but that every turn ends.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect

ROOT = Path(__file__).resolve().parent.parent
START_S = 120.0
TURN_S = 60.0
QUESTION = "RSI of SPX over the last 252 bars?"


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=100)
    turns = parser.parse_args().turns
    with tempfile.TemporaryDirectory() as folder, running_gateway(Path(folder)) as (port, pid, environment):
        token = issue_token(environment)
        first, again = asyncio.run(ask_all(port, token, turns))
        print(
            json.dumps(
                {
                    "turns": turns,
                    "gateway_rss_mb": round(own_rss_bytes(pid) / 2**20, 1),
                    "first_token_cold_ms": round(first * 1000, 1),
                    "first_token_p50_ms": round(statistics.median(again) * 1000, 1),
                    "first_token_max_ms": round(max(again) * 1000, 1),
                },
                indent=2,
            )
        )


@contextmanager
def running_gateway(folder: Path) -> Iterator[tuple[int, int, dict[str, str]]]:
    """A gateway on a free port, with everything of its own in `folder`; gives port, process id and environment."""
    port = free_port()
    environment = {
        **os.environ, "DATA_DIR": str(folder), "PORT": str(port), "DEBUG": "true", "SECRET_KEY": "only-for-a-measurement",
        "DATABASE_URL": "", "REDIS_URL": "", "LOG_LEVEL": "WARNING",
    }  # fmt: skip
    server = subprocess.Popen([sys.executable, "manage.py", "up"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_until_ready(port, server)
        yield port, server.pid, environment
    finally:
        server.terminate()
        server.wait(timeout=60)


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_ready(port: int, server: "subprocess.Popen[bytes]") -> None:
    """Return when /health answers 200; raises RuntimeError when the process ends or the time is up."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("The server did not start.")


def issue_token(environment: dict[str, str]) -> str:
    """A token for demo-enterprise, whose limits are the widest."""
    command = [sys.executable, "manage.py", "issue_token", "demo-enterprise"]
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def own_rss_bytes(pid: int) -> int:
    """Resident memory of the gateway's own process, without PostgreSQL and workspaces, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("The gateway has ended.")


async def ask_all(port: int, token: str, turns: int) -> tuple[float, list[float]]:
    """Seconds to the first token of the first turn (the workspace starts), and of each later one."""
    url = f"ws://127.0.0.1:{port}/ws/chat"
    async with connect(url, additional_headers={"Authorization": f"Bearer {token}"}, proxy=None) as client:
        times = [await ask(client) for _ in range(turns)]
    return times[0], times[1:] or times


async def ask(client: ClientConnection) -> float:
    """Seconds from the question to the first piece of its answer; returns when the answer is done."""
    asked = time.perf_counter()
    first: float | None = None
    await client.send(json.dumps({"type": "message", "content": QUESTION}))
    async with asyncio.timeout(TURN_S):
        while True:
            frame = json.loads(await client.recv())
            if frame["type"] == "token" and first is None:
                first = time.perf_counter() - asked
            elif frame["type"] == "done":
                return first if first is not None else time.perf_counter() - asked
            elif frame["type"] in {"failed", "cancelled", "error"}:
                raise RuntimeError(f"The turn ended {frame['type']}: {frame.get('message')}")


if __name__ == "__main__":
    main()
