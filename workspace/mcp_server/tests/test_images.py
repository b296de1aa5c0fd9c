"""The Dockerfiles without a Docker: what they say, and that what they copy runs by itself and writes nothing beside its data."""

from __future__ import annotations

import compileall
import json
import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mcp_server.tests.harness import WORKSPACE, RunningServer, get, running_server

PACKAGES = ("mcp_server", "lifecycle_sidecar")
each_image = pytest.mark.parametrize("package", PACKAGES)


def instructions(package: str) -> list[tuple[str, str]]:
    """The instructions of an image, each with its arguments."""
    text = re.sub(r"^#.*\n", "", (WORKSPACE / package / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line]


def all_of(package: str, name: str) -> list[str]:
    return [arguments for each, arguments in instructions(package) if each == name]


def copied(package: str, folder: Path) -> Path:
    """What the image copies out of the build context, in a folder as /app."""
    folder.mkdir(exist_ok=True)
    ignored = (WORKSPACE / ".dockerignore").read_text().split()

    def left_out(where: str, names: list[str]) -> list[str]:
        place = Path(where).relative_to(WORKSPACE)
        return [name for name in names if any(matches(place / name, pattern) for pattern in ignored)]

    for arguments in all_of(package, "COPY"):
        source, target = arguments.split()
        assert (WORKSPACE / source).exists(), source
        if (WORKSPACE / source).is_dir():
            shutil.copytree(WORKSPACE / source, folder / target, ignore=left_out)
        else:
            shutil.copy(WORKSPACE / source, folder / target)
    return folder


def matches(path: Path, pattern: str) -> bool:
    return fnmatch(path.name, pattern.removeprefix("**/")) if pattern.startswith("**/") else fnmatch(str(path), pattern)


@each_image
def test_it_runs_as_nobody_in_particular(package: str) -> None:
    """A number, since a cluster that wants no root can't look a name up."""
    user, group = map(int, all_of(package, "USER")[-1].split(":"))

    assert user > 1000
    assert group > 1000
    names = [name for name, _ in instructions(package)]
    assert not {"COPY", "RUN"} & set(names[names.index("USER") :])


@each_image
def test_its_base_has_a_version_and_nothing_is_fetched_from_elsewhere(package: str) -> None:
    [base] = all_of(package, "FROM")

    assert re.fullmatch(r"python:3\.11[\w.-]*", base)
    assert all_of(package, "ADD") == []
    assert not any(re.search(r"\b(curl|wget|apt-get|git)\b", run) for run in all_of(package, "RUN"))


@each_image
def test_every_requirement_is_pinned_and_installed(package: str) -> None:
    lines = (WORKSPACE / package / "requirements.txt").read_text().splitlines()
    required = [line for line in lines if line and not line.startswith("#")]
    installs = [run for run in all_of(package, "RUN") if "pip install" in run]

    assert [line for line in required if not re.fullmatch(r"[A-Za-z0-9._\[\]-]+==[A-Za-z0-9.+!-]+", line)] == []
    assert bool(installs) is bool(required)
    assert all("-r requirements.txt" in install for install in installs)


@each_image
def test_it_knows_how_to_ask_for_its_health(package: str, server: RunningServer) -> None:
    """Source: HEALTHCHECK is run in the container, with its environment."""
    [check] = all_of(package, "HEALTHCHECK")
    command = json.loads(check.partition("CMD ")[2])

    ran = subprocess.run(
        [sys.executable, *command[1:]], env={**os.environ, "WORKSPACE_PORT": str(server.port)}, check=False
    )

    assert command[0] == "python"
    assert ran.returncode == 0 or package == "lifecycle_sidecar"
    assert "--timeout=" in check


@each_image
def test_it_starts_without_a_shell_so_that_signals_reach_it(package: str) -> None:
    assert [json.loads(entry) for entry in all_of(package, "ENTRYPOINT")] == [["python", "-m", package]]


@each_image
def test_what_it_copies_is_enough_to_run(package: str, tmp_path: Path) -> None:
    place = copied(package, tmp_path)

    ran = subprocess.run(
        [sys.executable, "-m", package, "--help"], cwd=place, capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr
    assert not list(place.rglob("tests"))
    assert not (place / "mcp_server" / "conformance").exists()


def test_the_server_writes_nothing_beside_its_data(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    """Source: the root of its container is mounted read-only."""
    place = copied("mcp_server", tmp_path / "app")
    compileall.compile_dir(place, quiet=1)
    before = tree(place)

    with running_server(tmp_path / "run", key, code=place) as server:
        assert get(f"{server.url}/healthz").status_code == 200

    assert tree(place) == before


def tree(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
