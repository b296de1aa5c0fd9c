"""Real processes of the gateway: each deployment has a database and a folder of its own, and leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import LiteralString, TypeVar

import httpx
import psycopg

from gateway.embedded.ports import free_port
from gateway.testing.forking import Forked, Zygote

ROOT = Path(__file__).resolve().parents[3]
START_S = 60.0
STOP_S = 30.0
POLL_S = 0.02
BOT_TOKEN = "123456:only-a-script-reads-this"
WEBHOOK_SECRET = "told-to-the-platform-alone"


def until(condition: Callable[[], object], *, within_s: float = START_S, what: str = "it") -> None:
    """Wait for what happens in other processes; fails after `within_s`."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"Waited {within_s} s in vain for {what}."
        time.sleep(POLL_S)


# One for all: a client of its own for each request would read the system's certificates each time.
http = httpx.Client(timeout=10, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
P = TypeVar("P", bound="Process")


@dataclass
class Process:
    """One process of a deployment, and the file that it prints to."""

    popen: "subprocess.Popen[bytes] | Forked"
    log: Path

    def kill(self) -> None:
        """End it as a power cut does."""
        self.popen.kill()
        self.popen.wait(STOP_S)

    def stop(self, number: signal.Signals = signal.SIGINT, *, within_s: float = STOP_S) -> int:
        """Ask it to end, as Ctrl-C does unless told otherwise; the exit code."""
        self.popen.send_signal(number)
        return self.popen.wait(within_s)

    def ended(self) -> int:
        """The exit code, once it has ended by itself."""
        return self.popen.wait(STOP_S)

    def printed(self) -> str:
        """All that it has printed."""
        return self.log.read_text(errors="replace")

    def alive(self) -> bool:
        """Whether it runs; fails with its last words when it has ended by itself."""
        assert self.popen.poll() is None, f"Exit code {self.popen.returncode}:\n{self.printed()[-3000:]}"
        return True


@dataclass
class Server(Process):
    """A process that serves HTTP on `port`."""

    port: int

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> httpx.Response:
        """Ask for a page."""
        return http.get(f"{self.url}{path}")

    def token(self, user_id: str) -> str:
        """A token of the development issuer."""
        answer = http.post(f"{self.url}/api/v1/token", json={"user": user_id})
        return str(answer.raise_for_status().json()["token"])

    def answers(self, path: str, status: int = 200) -> bool:
        """Whether it answers with this status."""
        self.alive()
        try:
            return self.get(path).status_code == status
        except httpx.TransportError:
            return False


@dataclass
class Deployment:
    """Processes that share a folder and settings; with a zygote its commands are forked.

    The others are executed, which shows that they import what they need: `up`, Daphne, and of the deployment that most
    tests share the server, the commands and the start that is refused. `code` is the release that they run.
    """

    folder: Path
    environment: dict[str, str]
    zygote: Zygote | None = None
    code: Path = ROOT
    started: list[Process] = field(default_factory=list)

    @property
    def database_url(self) -> str:
        """The database that all share."""
        return self.environment["DATABASE_URL"]

    def ask(self, question: LiteralString, *values: object) -> object:
        """The one value that a query gives."""
        with psycopg.connect(self.database_url) as conn:
            row = conn.execute(question, values).fetchone()
        assert row is not None
        return row[0]

    def manage(self, *arguments: str) -> Process:
        """Start a command of manage.py."""
        return self._track(Process(*self._start("manage.py", *arguments)))

    def launch(self, *arguments: str) -> Server:
        """Start `manage.py serve` without waiting for it."""
        port = free_port()
        return self._track(Server(*self._start("manage.py", "serve", "--port", str(port), *arguments), port=port))

    def launch_daphne(self) -> Server:
        """Start Daphne on the same application without waiting for it."""
        port = free_port()
        started = self._start("-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "gateway.asgi:application")
        return self._track(Server(*started, port=port))

    def launch_up(self) -> Server:
        """Start `manage.py up`, which listens on PORT, without waiting for it."""
        port = free_port()
        self.environment["PORT"] = str(port)
        return self._track(Server(*self._start("manage.py", "up"), port=port))

    def serve(self) -> Server:
        """A server with a worker inside, once it is ready."""
        server = self.launch()
        until(lambda: server.answers("/health"), what="the gateway")
        return server

    def left(self) -> list[int]:
        """The processes whose command line names this folder: workspaces, their sidecars, an own PostgreSQL."""
        name = os.fsencode(self.folder)
        return [pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if name in command_line(pid)]

    def kill_all(self) -> None:
        """End every process, the workspaces too."""
        for process in self.started:
            process.popen.kill()
        for process in self.started:
            process.popen.wait(STOP_S)
        for pid in self.left():
            _kill(pid)
        until(lambda: not self.left(), what="the end of all processes")

    def _track(self, process: P) -> P:
        self.started.append(process)
        return process

    def _start(self, *arguments: str) -> "tuple[subprocess.Popen[bytes] | Forked, Path]":
        log = self.folder / f"process-{len(self.started)}.log"
        with log.open("wb") as output:
            if self.zygote is not None and arguments[0] == "manage.py":
                forked = self.zygote.start(*arguments, folder=ROOT, environment=self.environment, output=output)
                return forked, log
            # The kernel ends it when the tests are killed.
            command = ["setpriv", "--pdeathsig=KILL", sys.executable, *arguments]
            popen = subprocess.Popen(
                command,
                cwd=self.code,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return popen, log


@contextmanager
def deployment(
    folder: Path, database_url: str, *, zygote: Zygote | None = None, **settings: str
) -> Iterator[Deployment]:
    """Processes on a database, or with "" on a PostgreSQL of their own; none is left after the block."""
    folder.mkdir()
    running = Deployment(folder, environment(folder, database_url) | settings, zygote)
    try:
        yield running
    finally:
        running.kill_all()


def environment(folder: Path, database_url: str) -> dict[str, str]:
    """What a process of the gateway reads: nothing of a developer's own, since what is empty here wins over .env."""
    system = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    settings = re.findall(r"^(?:# )?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    return (
        system
        | dict.fromkeys(settings, "")
        | {
            "DEBUG": "true",
            "SECRET_KEY": "only-for-tests-only-for-tests-only-for-tests",
            "DATA_DIR": str(folder),
            "DATABASE_URL": database_url,
            "TELEGRAM_BOT_TOKEN": BOT_TOKEN,
            "TELEGRAM_WEBHOOK_SECRET": WEBHOOK_SECRET,
        }
    )


def command_line(pid: int) -> bytes:
    """The arguments of a process, separated by NUL; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
