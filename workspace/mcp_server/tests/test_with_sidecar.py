"""The server under its sidecar, started as the gateway starts them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mcp_server.tests.harness import USER, WORKSPACE, get, pem_of


@pytest.mark.parametrize("reason", ["nobody used it", "its owner is gone"])
def test_the_pair_starts_and_ends_and_leaves_the_folder_whole(tmp_path: Path, reason: str) -> None:
    """Source: DESIGN.md, section 7: the sidecar is the server's parent and ends it when idle or without an owner."""
    key, ready, owner = tmp_path / "gateway.pem", tmp_path / "ready.json", tmp_path / "owner"
    key.write_bytes(pem_of(Ed25519PrivateKey.generate()))
    owner.touch()
    idle, silence = (1, 60) if reason == "nobody used it" else (0, 3)
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
    with process:
        log = [line for line in iter(process.stderr.readline, "") if _seen(line, ready)]

    assert process.returncode == 0
    assert reason in log[-1]
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["workspace.sqlite3"]


def _seen(line: str, ready: Path) -> str:
    if "Listening" in line:
        port = json.loads(ready.read_text())["port"]
        assert get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    return line
