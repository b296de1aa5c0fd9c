"""A PostgreSQL for whoever has none: joined or started by any command, stopped by the last to leave.

In `DATA_DIR/postgres/` lie `data/` (the cluster), `url` (mode 0600), `server.log` and two locks. Every process that
uses the server holds `users.lock` shared for its whole life; whoever joins or leaves holds `gate.lock` meanwhile. The
kernel drops both when a process is killed: its server goes on, and the next to come joins it.
"""

import atexit
import fcntl
import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from gateway.embedded.accounts import give_to_owner_of_folder
from gateway.embedded.cluster import DATABASE, ROLE, START_TIMEOUT_S, STOP_TIMEOUT_S, Cluster
from gateway.embedded.errors import EmbeddedServerError, PortTakenError
from gateway.embedded.ports import LOOPBACK, free_port
from gateway.embedded.postmaster import Postmaster

START_ATTEMPTS = 5
"""Each attempt takes another port; to lose the race for a random port this often, something else must be wrong."""


@dataclass(frozen=True)
class Credentials:
    """How to reach the server; the password outlives every change of port."""

    password: str
    port: int

    @property
    def url(self) -> str:
        """The URL for DATABASE_URL."""
        return f"postgresql://{ROLE}:{self.password}@{LOOPBACK}:{self.port}/{DATABASE}"


@dataclass(frozen=True)
class Membership:
    """This process's share in a server: the open users.lock."""

    users_fd: int
    pid: int


_memberships: dict[Path, Membership] = {}


def ensure_database_url(data_dir: Path, *, durable: bool = True) -> str:
    """Join or start the server of `data_dir` and return `postgresql://gateway:PASSWORD@127.0.0.1:PORT/gateway`.

    The role is a superuser of this server. The process stays a user of it until it exits. So that SIGTERM and SIGHUP
    leave in order, too, they raise SystemExit from now on where their default action stood. `durable=False` is for
    tests: quicker, and broken by a power cut. Raises EmbeddedServerError in words for the person at the terminal.
    """
    if sys.platform != "linux":
        raise EmbeddedServerError("The embedded PostgreSQL runs on Linux only: set DATABASE_URL.")
    root = data_dir.resolve() / "postgres"
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        root.mkdir(mode=0o711, exist_ok=True)
        with _gate(root) as gate_fd:
            return _join(Cluster(root, gate_fd, durable))
    except PermissionError as error:
        raise EmbeddedServerError(
            f"{error.filename or root} belongs to another user: run as its owner, set another DATA_DIR, "
            "or set DATABASE_URL."
        ) from error
    except OSError as error:
        raise EmbeddedServerError(
            f"{error.filename or root} can't be made or used ({_why(error)}): set DATA_DIR to a folder that you may "
            "write to, or set DATABASE_URL."
        ) from error


def _why(error: OSError) -> str:
    # Of a file that is in the way, mkdir says only that it exists.
    return "it is no folder" if isinstance(error, FileExistsError) else error.strerror or "no reason given"


def _join(cluster: Cluster) -> str:
    """Become a user of the running server, or the one who starts it; the gate is held."""
    if cluster.root not in _memberships:
        _become_user(cluster.root)
    url_file = cluster.root / "url"
    server = cluster.wait_until(
        lambda found: found is None or found.state == "ready", timeout_s=START_TIMEOUT_S + STOP_TIMEOUT_S
    )
    if server is None:
        return _start(cluster, url_file).url
    return _credentials_of_running(server, url_file).url


def _credentials_of_running(server: Postmaster, url_file: Path) -> Credentials:
    known = _read_credentials(url_file)
    if known is None:
        raise EmbeddedServerError(
            f"{url_file} is gone while its server runs: stop every process of the gateway and start again."
        )
    return Credentials(known.password, server.port)


def _start(cluster: Cluster, url_file: Path) -> Credentials:
    known = _read_credentials(url_file)
    wanted = known or Credentials(secrets.token_urlsafe(24), free_port())
    if not cluster.data.exists():
        sys.stderr.write("Preparing the embedded PostgreSQL …\n")
        cluster.create(password=wanted.password, before_commit=lambda: _write_credentials(url_file, wanted))
    elif known is None:
        cluster.reset_password(wanted.password)
    return _start_on_a_free_port(cluster, url_file, wanted)


def _start_on_a_free_port(cluster: Cluster, url_file: Path, wanted: Credentials) -> Credentials:
    preferred = wanted.port
    for _ in range(START_ATTEMPTS):
        found = Credentials(wanted.password, free_port(preferred))
        _write_credentials(url_file, found)
        try:
            cluster.start(found.port)
        except PortTakenError:
            preferred = 0
        else:
            return found
    raise EmbeddedServerError(f"The embedded PostgreSQL found no free port: see {cluster.log}")


def _become_user(root: Path) -> None:
    users_fd = _open_lock(root / "users.lock")
    fcntl.flock(users_fd, fcntl.LOCK_SH)
    _memberships[root] = Membership(users_fd, os.getpid())
    atexit.register(_leave, root)
    _leave_in_order_on(signal.SIGTERM, signal.SIGHUP)


def _leave(root: Path) -> None:
    """Stop the server when nobody else uses it."""
    member = _memberships.pop(root)
    if member.pid != os.getpid():
        return
    with _gate(root) as gate_fd:
        if _is_last(member):
            Cluster(root, gate_fd).stop()
        os.close(member.users_fd)


def _is_last(member: Membership) -> bool:
    try:
        fcntl.flock(member.users_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _leave_in_order_on(*numbers: signal.Signals) -> None:
    """Let signals that would end this process without its exit handlers end it with them."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in numbers:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _exit_as_signalled)


def _exit_as_signalled(number: int, _frame: FrameType | None) -> None:
    # 128 + n is what a shell reports for a command that signal n ended.
    raise SystemExit(128 + number)


@contextmanager
def _gate(root: Path) -> Iterator[int]:
    """Let one process at a time join or leave; give the descriptor of the lock."""
    fd = _open_lock(root / "gate.lock")
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)


def _open_lock(path: Path) -> int:
    """Open a lock file; child programs do not inherit descriptors that Python opens (PEP 446)."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    give_to_owner_of_folder(path)
    return fd


def _read_credentials(url_file: Path) -> Credentials | None:
    """Return what stands in the file, None when that is no URL of ours."""
    if not url_file.exists():
        return None
    parts = urlsplit(url_file.read_text().strip())
    return Credentials(parts.password, parts.port) if parts.password and parts.port else None


def _write_credentials(url_file: Path, credentials: Credentials) -> None:
    """Replace the file as a whole, so that nobody ever reads half a URL."""
    draft = url_file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(credentials.url + "\n")
        file.flush()
        os.fsync(file.fileno())
    give_to_owner_of_folder(draft)
    draft.replace(url_file)
