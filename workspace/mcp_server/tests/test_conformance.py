"""The reference MCP conformance suite against the real server, with the fixtures that its scenarios call by name."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mcp.client import Client

from mcp_server.tests.harness import running_server, signed
from mcp_server.tests.node_programs import INSTALL_S, installed_programs
from mcp_server.tests.token_proxy import token_proxy

BASELINE = Path(__file__).with_name("conformance-baseline.yml")
DOCUMENTATION = Path(__file__).parents[3] / "docs" / "conformance.md"


@pytest.mark.timeout(INSTALL_S + 120)
@pytest.mark.parametrize("requirements", ["2026-07-28", "2025-11-25"])
async def test_the_server_meets_the_requirements(tmp_path: Path, key: Ed25519PrivateKey, requirements: str) -> None:
    """Source: the customer. The suite exits with 0 when all that it scores passes but for the checks of the baseline."""
    programs = installed_programs()
    baseline = ["--expected-failures", str(BASELINE)] if requirements == "2025-11-25" else []
    with running_server(tmp_path, key, options=["--conformance-fixtures"]) as server:
        async with token_proxy(server.port, lambda: signed(key)) as port:
            options = ["--url", f"http://127.0.0.1:{port}/mcp", "--requirements", requirements, *baseline]
            suite = await asyncio.create_subprocess_exec(
                *programs.conformance,
                *("server", *options, "--output-dir", str(tmp_path / "results")),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            said = (await suite.communicate())[0].decode()

    summary = said[said.find("=== SUMMARY ===") :]
    assert suite.returncode == 0, summary or said
    assert int(re.findall(r"Total: (\d+) passed", summary)[0]) > 50, summary


def test_the_documentation_names_every_check_of_the_baseline() -> None:
    checks = re.findall(r"^  - ([\w-]+):", BASELINE.read_text(), re.MULTILINE)

    assert checks
    assert [check for check in checks if f"`{check}`" not in DOCUMENTATION.read_text()] == []


async def test_the_fixtures_are_not_there_without_their_flag(client: Client) -> None:
    tools = (await client.list_tools()).tools

    assert [tool.name for tool in tools if tool.name.startswith("test_")] == []
