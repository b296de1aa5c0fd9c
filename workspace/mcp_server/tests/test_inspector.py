"""A third-party client, the MCP inspector's command line, lists and calls the tools with a token and nothing without one."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mcp_server.tests.harness import RunningServer, post
from mcp_server.tests.node_programs import INSTALL_S, installed_programs

pytestmark = pytest.mark.timeout(INSTALL_S + 120)

# What the inspector exits with when the server answers 401 and nobody is there to sign in.
SIGN_IN = 3


def inspect(folder: Path, url: str, *options: str, headers: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the inspector with `folder` as its home."""
    given = [word for name, value in headers.items() for word in ("--header", f"{name}: {value}")]
    return subprocess.run(
        [*installed_programs().inspector, "--transport", "http", "--server-url", url, *given, *options],
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_it_lists_the_tools_and_finds_their_schemas_portable(server: RunningServer, tmp_path: Path, era: str) -> None:
    """`--strict` fails for a schema that other clients can't read."""
    options = ("--method", "tools/list", "--strict", "--protocol-era", era)

    ran = inspect(tmp_path, f"{server.url}/mcp", *options, headers=server.bearer())

    assert ran.returncode == 0, ran.stderr
    assert {"get_bars", "remember"} <= {tool["name"] for tool in json.loads(ran.stdout)["tools"]}


def test_it_calls_a_tool(server: RunningServer, tmp_path: Path) -> None:
    arguments = json.dumps({"symbol": "SPX", "limit": 3})
    options = ("--method", "tools/call", "--tool-name", "get_bars", "--tool-args-json", arguments)

    ran = inspect(tmp_path, f"{server.url}/mcp", *options, "--protocol-era", "modern", headers=server.bearer())

    assert ran.returncode == 0, ran.stderr
    bars: dict[str, Any] = json.loads(ran.stdout)["structuredContent"]
    assert (bars["symbol"], bars["bars"]) == ("SPX", 3)


@pytest.mark.parametrize("token", ["none", "another user's", "expired"])
def test_without_a_valid_token_it_is_told_401(server: RunningServer, tmp_path: Path, token: str) -> None:
    headers = {
        "none": {},
        "another user's": server.bearer(sub="stranger"),
        "expired": server.bearer(exp=1_700_000_000, iat=1_700_000_000 - 30),
    }[token]

    ran = inspect(tmp_path, f"{server.url}/mcp", "--method", "tools/list", headers=headers)

    assert ran.returncode == SIGN_IN
    assert json.loads(ran.stderr)["error"]["code"] == "auth_required"
    assert ran.stdout.strip() == ""
    assert post(f"{server.url}/mcp", headers=headers, json={}).status_code == 401
