"""Print how fast a web server acknowledges webhooks; exit 1 when p99 is past three times the bound.

    python -m bench.webhook [--rate 200] [--seconds 20] [--bound-ms 50]

One process of `manage.py serve --no-worker` on a PostgreSQL of its own that keeps what it is told (fsync), in a temporary
folder; licences and links of 400 users; signed posts of the webhook channel at a steady rate, whether or not those before
were answered. A time is from when a post was due to its answer. Each is a turn in the database when it is acknowledged. Machines
that share their processors are slow for moments: the posts beside these are also told of apart (bench.pace).
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import psycopg

from bench.pace import apart, watched
from bench.smoke import ROOT, START_S, free_port

USERS = 400
SECRET = "only-for-a-measurement-only-for-a-measurement"  # noqa: S105 - of a server that lives a minute
# Set by staff, so that no workspace is started; nothing ever calls it.
TOOLS = "http://127.0.0.1:9/mcp"
# Slower than this is no noise of the machine.
PAST = 3
# A server that uses less than a tenth of a core is idle.
IDLE_SHARE, IDLE_LOOK_S = 0.1, 2.0
_LICENCES = """
    INSERT INTO user_licenses (user_id, email, license_type, features, resource_limits, mcp_server_url, created_at, updated_at)
    SELECT 'user-' || i, '', 'enterprise', '{}', '{"messages_per_minute": null}', %s, now(), now() FROM generate_series(1, %s) i
"""
_LINKS = """
    INSERT INTO user_channel_links (id, user_id, channel_type, channel_user_id)
    SELECT gen_random_uuid(), 'user-' || i, 'webhook', 'account-' || i FROM generate_series(1, %s) i
"""


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=200, help="posts a second")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--bound-ms", type=float, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder)) as (port, pid):
        database = (Path(folder) / "postgres" / "url").read_text().strip()
        link_users(database)
        # Also the conversations of the users are made then.
        asyncio.run(post_all(port, rate=options.rate, count=options.rate * 2, first=-options.rate * 2))
        wait_until_idle(pid)
        cpu_before = cpu_seconds(pid)
        with watched() as pace:
            answers = asyncio.run(post_all(port, rate=options.rate, count=options.rate * options.seconds))
        cpu = cpu_seconds(pid) - cpu_before
        load = os.getloadavg()[0]
        stored = count_turns(database)
    answered = [answer for answer in answers if answer is not None]
    if len(answered) < len(answers):
        sys.exit(f"{len(answers) - len(answered)} of {len(answers)} posts were not acknowledged (load {load:.1f}).")
    times, steady = in_ms(answered), in_ms(apart(answered, pace.slow()))
    p99 = quantile(times, 0.99)
    figures = {
        "posts": len(times),
        "turns_stored": stored - 2 * options.rate,
        "p50_ms": round(quantile(times, 0.5), 1),
        "p99_ms": round(p99, 1),
        "max_ms": round(max(times), 1),
        # Of the posts during which, and 0.15 s before which, the machine itself was never at a third of its speed.
        "steady_posts": len(steady),
        "steady_p99_ms": round(quantile(steady, 0.99), 1) if len(steady) > 1 else None,
        # The server's own, without PostgreSQL's.
        "cpu_ms_a_post": round(cpu * 1000 / len(times), 2),
        "load_average": round(load, 1),
        "bound_ms": options.bound_ms,
    }
    print(json.dumps(figures, indent=2))
    if stored - 2 * options.rate != len(times):
        sys.exit("Not every acknowledged post is a turn.")
    if p99 > PAST * options.bound_ms:
        sys.exit(f"p99 is past {PAST} times the bound.")


@contextmanager
def running_server(folder: Path) -> Iterator[tuple[int, int]]:
    """A migrated web server without a worker; gives its port and process id."""
    port = free_port()
    environment = {
        **os.environ, "DATA_DIR": str(folder), "PORT": str(port), "DEBUG": "true", "SECRET_KEY": "only-for-a-measurement",
        "DATABASE_URL": "", "REDIS_URL": "", "LOG_LEVEL": "WARNING", "MCP_SERVER_URL_ALLOWLIST": TOOLS,
        "WEBHOOK_CHANNEL_SECRET": SECRET, "WEBHOOK_CHANNEL_CALLBACK_URL": "http://127.0.0.1:9/",
    }  # fmt: skip
    manage = [sys.executable, "manage.py"]
    serve = [*manage, "serve", "--no-worker", "--port", str(port)]
    server = subprocess.Popen(serve, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_until_alive(port, server)
        # After the start: the embedded database stops with the last process that uses it.
        subprocess.run([*manage, "migrate", "--verbosity", "0"], cwd=ROOT, env=environment, check=True)
        yield port, server.pid
    finally:
        server.terminate()
        server.wait(timeout=60)


def wait_until_alive(port: int, server: "subprocess.Popen[bytes]") -> None:
    """Return when the server answers; raises RuntimeError when the process ends or the time is up."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("The server did not start.")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until_idle(pid: int) -> None:
    """Return when the server has done what it begins with in the background."""
    before = -1.0
    while (now := cpu_seconds(pid)) - before > IDLE_SHARE * IDLE_LOOK_S:
        before = now
        time.sleep(IDLE_LOOK_S)


def link_users(database: str) -> None:
    """Licences without a limit a minute, and an account each."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(_LICENCES, (TOOLS, USERS))
        conn.execute(_LINKS, (USERS,))


def count_turns(database: str) -> int:
    """The turns in the database."""
    with psycopg.connect(database) as conn:
        row = conn.execute("SELECT count(*) FROM turns").fetchone()
    return int(row[0]) if row else 0


async def post_all(port: int, *, rate: int, count: int, first: int = 0) -> list[tuple[float, float] | None]:
    """When each post was due and when it was answered; None for one that was not acknowledged."""
    connections, patience = aiohttp.TCPConnector(limit=200, keepalive_timeout=60), aiohttp.ClientTimeout(total=60)
    address = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession(address, connector=connections, timeout=patience) as client:
        start = time.monotonic() + 0.1
        posts = []
        for number in range(count):
            due = start + number / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            posts.append(asyncio.create_task(post(client, first + number, due=due)))
        return await asyncio.gather(*posts)


async def post(client: aiohttp.ClientSession, number: int, *, due: float) -> tuple[float, float] | None:
    """One signed message; see post_all."""
    account = f"account-{number % USERS + 1}"
    body = json.dumps({"id": f"m{number}", "account": account, "text": "RSI of SPX?"}).encode()
    timestamp = str(int(time.time()))
    signature = hmac.new(SECRET.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json", "X-Dexorder-Timestamp": timestamp, "X-Dexorder-Signature": f"v1={signature}",
    }  # fmt: skip
    try:
        async with client.post("/webhook/webhook", data=body, headers=headers) as answer:
            await answer.read()
    except (aiohttp.ClientError, TimeoutError):
        return None
    return None if answer.status != 200 else (due, time.monotonic())


def in_ms(answered: list[tuple[float, float]]) -> list[float]:
    """How long each took."""
    return [(at - due) * 1000 for due, at in answered]


def quantile(times: list[float], share: float) -> float:
    """The time that this share of all is within."""
    return statistics.quantiles(times, n=1000, method="inclusive")[int(share * 1000) - 1]


if __name__ == "__main__":
    main()
