"""A real server process, tokens as the gateway signs them, and the SDK's own client."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx2
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

WORKSPACE = Path(__file__).parents[2]
USER = "demo-pro"

# How long a machine with much else to do may take for an answer.
PATIENCE_S = 60

# Making one takes 80 ms, which every client would pay although it never leaves loopback.
TLS = ssl.create_default_context()


def pem_of(*keys: Ed25519PrivateKey) -> bytes:
    """The public halves, one PEM after the other."""
    return b"".join(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for key in keys)


def claims(**changes: Any) -> dict[str, Any]:
    """What the gateway signs; a change to None leaves the claim out."""
    now = int(time.time())
    usual = {
        "iss": "dexorder-gateway",
        "aud": "dexorder-workspace",
        "sub": USER,
        "iat": now,
        "jti": uuid.uuid4().hex,
        "exp": now + 55,
    }
    return {name: value for name, value in (usual | changes).items() if value is not None}


def signed(key: Ed25519PrivateKey, **changes: Any) -> str:
    """A token of the gateway without `kid`, its claims changed as told."""
    return jwt.encode(claims(**changes), key, algorithm="EdDSA")


@dataclass(frozen=True)
class RunningServer:
    """A server that listens."""

    process: subprocess.Popen[str]
    port: int
    activity_port: int
    key: Ed25519PrivateKey
    data: Path
    public_key: Path
    # What it wrote to standard error until it listened.
    said: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def activity_url(self) -> str:
        return f"http://127.0.0.1:{self.activity_port}/activity"

    def bearer(self, **changes: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {signed(self.key, **changes)}"}

    def _sign(self, request: httpx2.Request) -> httpx2.Request:
        """A token for each request, as the gateway has it: none outlives a slow test."""
        request.headers.update(self.bearer())
        return request

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with (
            httpx2.AsyncClient(auth=self._sign, timeout=PATIENCE_S, verify=TLS) as http,
            Client(streamable_http_client(f"{self.url}/mcp", http_client=http)) as client,
        ):
            yield client


@contextmanager
def running_server(
    folder: Path,
    key: Ed25519PrivateKey,
    *,
    options: Sequence[str] = (),
    environ: dict[str, str] | None = None,
    code: Path = WORKSPACE,
) -> Iterator[RunningServer]:
    """Start `python -m mcp_server` on free ports over `folder`, with the data of an earlier one if there is any."""
    folder.mkdir(parents=True, exist_ok=True)
    public_key, ready = folder / "gateway.pem", folder / "ready.json"
    public_key.write_bytes(pem_of(key))
    arguments = ["--data", folder / "data", "--port", 0, "--activity-port", 0, "--user", USER, "--tier", "pro"]
    arguments += ["--public-key", public_key, "--ready-file", ready, *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "mcp_server", *map(str, arguments)],
        cwd=code,
        env={name: value for name, value in os.environ.items() if not name.startswith("WORKSPACE_")} | (environ or {}),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    reader: threading.Thread | None = None
    try:
        said = [process.stderr.readline()]
        while said[-1] and "Listening" not in said[-1]:
            said.append(process.stderr.readline())
        assert said[-1], "".join(said)
        # A full pipe would stop it.
        reader = threading.Thread(target=_pass_on, args=[process.stderr])
        reader.start()
        ports = json.loads(ready.read_text())
        yield RunningServer(
            process, ports["port"], ports["activity_port"], key, folder / "data", public_key, "".join(said)
        )
    finally:
        process.kill()
        process.wait()
        if reader is not None:
            reader.join()
        process.stderr.close()


def _pass_on(told: IO[str]) -> None:
    """Show what a server says, for pytest to print with the test that fails."""
    for line in told:
        sys.stderr.write(line)


def get(url: str, **options: Any) -> httpx2.Response:
    """GET without a client of one's own."""
    return httpx2.get(url, verify=TLS, **options)


def post(url: str, **options: Any) -> httpx2.Response:
    """POST without a client of one's own."""
    return httpx2.post(url, verify=TLS, **options)


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """The structured result of a tool call that succeeds, after a look that its text says the same."""
    result = await client.call_tool(tool, arguments, read_timeout_seconds=PATIENCE_S)
    text = result.content[0].text  # type: ignore[union-attr]  # these tools answer in text
    assert not result.is_error, text
    assert result.structured_content is not None
    assert json.loads(text) == result.structured_content
    structured: dict[str, Any] = result.structured_content
    return structured


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    """The text of a tool call that fails."""
    result = await client.call_tool(tool, arguments, read_timeout_seconds=PATIENCE_S)
    assert result.is_error, result.content
    return str(result.content[0].text)  # type: ignore[union-attr]  # these tools answer in text
