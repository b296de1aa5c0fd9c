"""The sandbox holds whoever runs the server. The other tests ran as root or not; these run them as the others.

Source: docs/security.md, The sandbox: one mechanism that holds as root, as an ordinary user, and in a pod under Pod Security
*restricted*, where the server is an ordinary user without capabilities.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mcp_server.tests.harness import WORKSPACE

ATTACKS = ("hostile", "files", "meddling")
# Whose end is a time or a size, which hold alike for every user.
SLOW = "never_ends or processor_time or ten_gigabytes or replaced"

ORDINARY = "setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all"
ROOT_WITHOUT_CAPABILITIES = "setpriv --no-new-privs --bounding-set=-all --inh-caps=-all"


def pytest_of(*modules: str, but: str = "") -> str:
    """The command that runs these modules' tests, without those that are named like `but`."""
    paths = [str(WORKSPACE / "mcp_server" / "tests" / f"test_sandbox{each}.py") for each in modules]
    chosen = ["-k", f"not ({but})"] if but else []
    return shlex.join(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:django", *chosen, *paths]
    )


def run(script: str) -> None:
    """Run a shell script, in a world of mounts of its own where that is needed, and show what failed."""
    ran = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", script] if "mount" in script else ["sh", "-ec", script],
        check=False,
        cwd=WORKSPACE,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout[-5000:]


def for_all_to_reach(*folders: str) -> str:
    """Shell commands that leave these folders alone in those above them that only root may enter."""
    script = "mount --make-rprivate /\n"
    for folder in sorted({str(Path(each).resolve()) for each in folders}):
        barred = [each for each in reversed(Path(folder).parents) if not each.stat().st_mode & 0o001]
        if barred:
            script += (
                f"kept=$(mktemp -d); mount --bind {folder} $kept; mount -t tmpfs -o mode=755 none {barred[0]}\n"
                f"mkdir -p {folder}; mount --bind $kept {folder}\n"
            )
    return script if "bind" in script else ""


def run_as_ordinary_user(*, but: str = "") -> None:
    """Run all attacks as an ordinary user."""
    if os.geteuid() != 0:
        # The other modules' tests have just run as one.
        return
    attacks = pytest_of("", *(f"_{each}" for each in ATTACKS), but=but)
    run(for_all_to_reach(sys.base_prefix, sys.prefix) + f"exec {ORDINARY} {attacks}")


@pytest.mark.timeout(400)
def test_it_holds_for_an_ordinary_user() -> None:
    run_as_ordinary_user(but=SLOW)


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_all_of_it_holds_for_an_ordinary_user() -> None:
    run_as_ordinary_user()


@pytest.mark.timeout(400)
def test_attacks_fail_for_root_without_capabilities_too() -> None:
    """As in a container that drops them all and yet runs as root: the user can't be changed, all else holds."""
    if os.geteuid() != 0:
        return
    # In a folder of its own: pytest clears away root's old folders at its end, and so does the pytest that runs this.
    # Not in this test's: the path of a Unix socket has at most 107 bytes (unix(7)).
    with tempfile.TemporaryDirectory() as folder:
        run(f"exec {ROOT_WITHOUT_CAPABILITIES} {pytest_of('_files', but=SLOW)} --basetemp {folder}/run")
