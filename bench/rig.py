"""What the measurements of the gateway start around it: its database, the stubs, the gateway itself, and the load.

The process under measurement has one core of the machine and all else the others, so that neither takes time from the other.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import procstat
from bench.smoke import ROOT, free_port, wait_until_ready

HOST = "127.0.0.1"
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE = {CORES[0]}
OTHER_CORES = set(CORES[1:]) or SERVER_CORE
STOP_S = 30.0
PROFILE_S = 20.0

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Peers:
    """The stubs' addresses."""

    model_url: str
    mcp_url: str

    @property
    def times_url(self) -> str:
        """Where the stubs tell when they were asked."""
        return self.mcp_url.removesuffix("/mcp") + "/times"


@dataclass(frozen=True, slots=True)
class Server:
    """A server under measurement; `loadgen` are the options by which the load generator speaks its language."""

    name: str
    port: int
    pid: int
    loadgen: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway, the process id of its PostgreSQL and where a profile of it goes."""

    server: Server
    database_pid: int
    profile: Path
    tokens: Path

    def toggle_profile(self) -> None:
        """Begin a profile, or have it written."""
        os.kill(self.server.pid, signal.SIGUSR2)


@contextmanager
def running(
    command: list[str], *, cores: set[int], environment: dict[str, str] | None = None, log: Path | None = None
) -> Iterator[Any]:
    """A process on some of the cores, ended with the block; what it says is read from `stdout`, or goes to `log`."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE if log is None else log.open("wb"),
        stderr=None if log is None else subprocess.STDOUT,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),  # noqa: PLW1509 - no thread runs here yet
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            # What is measured is over; a server that hangs must not hide its figures.
            process.kill()
            process.wait()


@contextmanager
def peers() -> Iterator[Peers]:
    """The stubs, in one process."""
    model_port, mcp_port = free_port(), free_port()
    command = [sys.executable, "-m", "bench.stubs", "--model-port", str(model_port), "--mcp-port", str(mcp_port)]
    with running(command, cores=OTHER_CORES) as process:
        process.stdout.readline()
        yield Peers(f"http://{HOST}:{model_port}/v1", f"http://{HOST}:{mcp_port}/mcp")


@contextmanager
def gateway(folder: Path, found: Peers, *, users: int) -> Iterator[Gateway]:
    """A gateway as `manage.py serve` runs it, its worker inside, with licensed users, all of it in `folder`."""
    port, profile, tokens = free_port(), folder / "profile.json", folder / "tokens.txt"
    environment = {
        "DATA_DIR": str(folder), "DATABASE_URL": "", "REDIS_URL": "", "DEBUG": "true", "SECRET_KEY": "only-for-a-measurement",
        "OPENAI_BASE_URL": found.model_url, "DEFAULT_MODEL_PROVIDER": "openai",
        "DEFAULT_MODEL": "stub", "MCP_SERVER_URL_ALLOWLIST": found.mcp_url,
    }  # fmt: skip
    people = ["bench.people", "--users", str(users), "--mcp-server-url", found.mcp_url]
    serve = ["bench.sampling", str(profile), "serve", "--host", HOST, "--port", str(port)]
    with ExitStack() as stack:
        made = subprocess.run(
            [sys.executable, "-m", *people],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            check=True,
        )
        tokens.write_bytes(made.stdout)
        process = stack.enter_context(
            running(
                [sys.executable, "-m", *serve], cores=SERVER_CORE, environment=environment, log=folder / "gateway.log"
            )
        )
        wait_until_ready(port, process)
        speaks = (
            "--tokens-file", str(tokens), "--hello-types", "ready", "--end-types", "done", "--error-types", "error,failed",
        )  # fmt: skip
        server = Server("gateway", port, process.pid, speaks)
        database = Path(folder / "postgres" / "data" / "postmaster.pid").read_text().split()[0]
        _spread(int(database))
        yield Gateway(server, int(database), profile, tokens)


def _spread(database: int) -> None:
    """Take the database from the gateway's core, whose child it was started as."""
    for pid in procstat.tree(database):
        os.sched_setaffinity(pid, OTHER_CORES)


def load(server: Server, mode: str, *options: str) -> Figures:
    """Let the load generator speak to a server; its figures."""
    command = [
        sys.executable, str(ROOT / "bench" / "loadgen.py"), mode, "--url", f"ws://{HOST}:{server.port}/ws/chat",
        "--server-pid", str(server.pid), "--expect-tokens", "50", "--allow-coalesced", *server.loadgen, *options,
    ]  # fmt: skip
    if mode != "chat":
        command.remove("--allow-coalesced")
    with running(command, cores=OTHER_CORES) as process:
        figures: Figures = json.loads(process.stdout.read())
    return figures


def profile_of(found: Gateway) -> Figures:
    """The profile that the gateway was told to write."""
    deadline = time.monotonic() + PROFILE_S
    while not found.profile.exists():
        if time.monotonic() > deadline:
            raise RuntimeError("The gateway wrote no profile.")
        time.sleep(0.05)
    figures: Figures = json.loads(found.profile.read_text())
    return figures
