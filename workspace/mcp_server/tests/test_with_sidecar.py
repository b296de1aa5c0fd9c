"""The server under its sidecar, started as the gateway starts them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from lifecycle_sidecar.tests.peers import NAME, cluster, until

from mcp_server.tests.harness import USER, WORKSPACE, call, get, pem_of, running_server


@pytest.mark.parametrize("reason", ["nobody used it", "its owner is gone"])
def test_the_pair_starts_and_ends_and_leaves_the_folder_whole(tmp_path: Path, reason: str) -> None:
    """Source: DESIGN.md, section 7: the sidecar is the server's parent and ends it when idle or without an owner."""
    key, ready, owner = tmp_path / "gateway.pem", tmp_path / "ready.json", tmp_path / "owner"
    key.write_bytes(pem_of(Ed25519PrivateKey.generate()))
    owner.touch()
    idle, silence = (3, 60) if reason == "nobody used it" else (0, 3)
    sidecar = ["--activity-file", ready, "--idle-seconds", idle, "--poll-seconds", 0.1]
    sidecar += ["--owner-file", owner, "--owner-timeout-seconds", silence]
    server = [
        sys.executable,
        "-m",
        "mcp_server",
        "--data",
        tmp_path / "data",
        "--port",
        0,
        "--activity-port",
        0,
        "--user",
        USER,
        "--tier",
        "free",
    ]
    server += ["--public-key", key, "--ready-file", ready]

    process = subprocess.Popen(
        [sys.executable, "-m", "lifecycle_sidecar", *map(str, sidecar), "--spawn", "--", *map(str, server)],
        cwd=WORKSPACE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process, _beating(owner) as listening:
        log = []
        for line in iter(process.stderr.readline, ""):
            log.append(line)
            if "Listening" in line:
                port = json.loads(ready.read_text())["port"]
                assert get(f"http://127.0.0.1:{port}/healthz").status_code == 200
                listening.set()

    assert process.returncode == 0
    assert reason in log[-1]
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["workspace.sqlite3"]


async def test_a_pod_is_scaled_down_only_when_its_user_has_gone(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    """Source: DESIGN.md, section 7: beside the server, with its own Deployment. The user calls a tool for twice the idle time."""
    with running_server(tmp_path / "server", key) as server, cluster(tmp_path) as api:
        options = ["--activity-url", server.activity_url, "--idle-seconds", 1, "--poll-seconds", 0.05]
        options += ["--deployment", NAME, "--credentials", tmp_path]
        sidecar = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "lifecycle_sidecar", *map(str, options)),
            cwd=WORKSPACE,
            env={**os.environ, **api.environ},
        )
        async with server.client() as client:
            called = [time.monotonic()]
            while called[-1] < called[0] + 2:
                await call(client, "get_preferences")
                called.append(time.monotonic())
            # A busy machine may itself pause for as long as a user who has gone.
            assert (
                api.replicas == 1
                or max(later - earlier for earlier, later in zip(called, called[2:], strict=False)) > 1
            )
        await asyncio.to_thread(until, lambda: api.replicas == 0)
        sidecar.terminate()

        assert await sidecar.wait() == 0


@contextmanager
def _beating(owner: Path) -> Iterator[threading.Event]:
    """An owner that lives until the event is set, however long the server takes to start."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(0.1):
            owner.touch()

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield over
    finally:
        over.set()
        thread.join()
