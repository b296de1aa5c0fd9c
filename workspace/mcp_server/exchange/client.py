"""The server's side: starts the exchange process when it is needed, and ends it when it takes too long."""

from __future__ import annotations

import importlib.util
import json
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from mcp_server.errors import ExchangeFailed, ExchangeMissing, ExchangeUnreachable, UnknownSymbol
from mcp_server.exchange.protocol import Fetched, Request

PACKAGE_PARENT = Path(__file__).parents[2]

# The first question to an exchange loads its list of markets: 8 s at most for that, then pages of bars.
DEADLINE_S = 25.0

# A year of hours is 0.5 MB as JSON.
MOST_ANSWER_BYTES = 8 * 1024 * 1024

# What a process needs to start and to go through a proxy; nothing of the server's own settings.
PASSED_ON = (
    "PATH",
    "LANG",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
)


class ExchangeClient:
    """Asks one question at a time. `instead` is a server that stands for all exchanges, for tests."""

    def __init__(self, *, instead: str | None = None, deadline_s: float = DEADLINE_S) -> None:
        self._instead = instead
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def fetch(self, request: Request) -> Fetched:
        """Bars from the exchange. Raises UnknownSymbol and the ExchangeFailed family."""
        if importlib.util.find_spec("ccxt") is None:
            raise ExchangeMissing
        deadline = time.monotonic() + self._deadline_s
        if not self._lock.acquire(timeout=self._deadline_s):
            raise ExchangeFailed(f"{request.exchange} was not asked: another question takes long. Try again later.")
        try:
            answer = self._ask(request, deadline)
        finally:
            self._lock.release()
        return _fetched(request, answer)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _ask(self, request: Request, deadline: float) -> dict[str, Any]:
        process = self._running()
        line = json.dumps(request.as_json()).encode() + b"\n"
        try:
            assert process.stdin is not None  # noqa: S101 - made with a pipe
            process.stdin.write(line)
            process.stdin.flush()
            answer = _line(process, deadline)
            return dict(json.loads(answer))
        except (OSError, ValueError, TimeoutError) as error:
            self._end()
            raise ExchangeUnreachable(_unreachable(request.exchange, f"no answer in {self._deadline_s:g} s")) from error

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        command = [sys.executable, "-m", "mcp_server.exchange.worker"]
        command += ["--instead", self._instead] if self._instead else []
        self._process = subprocess.Popen(  # noqa: S603 - our own words
            command,
            cwd=PACKAGE_PARENT,
            env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return self._process

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process = None


def _line(process: subprocess.Popen[bytes], deadline: float) -> bytes:
    """One line of the process's output. Raises TimeoutError, ValueError when it is too long or the output ends."""
    assert process.stdout is not None  # noqa: S101 - made with a pipe
    found = b""
    while not found.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            raise TimeoutError
        part = os.read(process.stdout.fileno(), 65_536)
        if not part or len(found) > MOST_ANSWER_BYTES:
            raise ValueError("the answer was cut")
        found += part
    return found


def _fetched(request: Request, answer: dict[str, Any]) -> Fetched:
    if "error" not in answer:
        return Fetched(answer["interval"], answer["currency"], answer["rows"])
    kind, text = answer["error"], answer["text"]
    if kind == "symbol":
        raise UnknownSymbol(f"{request.exchange} has no market {request.symbol}. {text}")
    if kind == "unreachable":
        raise ExchangeUnreachable(_unreachable(request.exchange, text))
    if kind == "busy":
        raise ExchangeFailed(f"{request.exchange} allows no more questions now. Try again in a minute. ({text})")
    raise ExchangeFailed(f"{request.exchange} gave no bars of {request.symbol}: {text}.")


def _unreachable(exchange: str, text: str) -> str:
    return f"{ExchangeUnreachable.__doc__} ({exchange}: {text})"
