"""The first step of `make run` and `make test` (DESIGN.md, What the first run needs), in a project folder of its own."""

import fcntl
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

BOOTSTRAP = Path(__file__).resolve().parents[1] / "bootstrap.py"
NO_INDEX = os.environ | {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}


NAMES = ("tiny-1.0", "tiny-2.0", "tool-1.0", "part-1.0")


class Project:
    """A folder with the bootstrap, lists of requirements and a folder of wheels."""

    def __init__(self, root: Path) -> None:
        self.root, self.env = root, root / ".env"

    def create(self) -> None:
        (self.root / "gateway").mkdir(parents=True)
        (self.root / "workspace" / "mcp_server").mkdir(parents=True)
        shutil.copy(BOOTSTRAP, self.root / "gateway")
        self.require("requirements.txt", "tiny==1.0")
        self.require("requirements-dev.txt", "-r requirements.txt", "tool==1.0")
        self.require("workspace/mcp_server/requirements.txt", "part==1.0")
        for name in NAMES:
            make_wheel(self.root / "wheels", *name.split("-"))

    def require(self, file: str, *lines: str) -> None:
        (self.root / file).write_text("\n".join(lines) + "\n")

    def bootstrap(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-I", "gateway/bootstrap.py", *arguments],
            cwd=self.root,
            env=NO_INDEX | {"PIP_FIND_LINKS": (self.root / "wheels").as_uri()},
            capture_output=True,
            text=True,
            check=False,
        )

    def started(self, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-I", "gateway/bootstrap.py", *arguments]
        return subprocess.Popen(command, cwd=self.root, env=NO_INDEX, stdout=subprocess.PIPE, text=True)

    def installed(self) -> set[str]:
        folders = self.root.glob(".venv/lib/python3*/site-packages/*.dist-info")
        return {folder.name.removesuffix(".dist-info") for folder in folders} & set(NAMES)


def make_wheel(folder: Path, name: str, version: str) -> None:
    """Write the smallest wheel that pip accepts."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
        wheel.writestr(f"{name}/__init__.py", "")
        wheel.writestr(f"{name}/tests/__init__.py", "")


@pytest.fixture(scope="module")
def installed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after its first run; making a venv takes seconds, so tests start from copies."""
    project = Project(tmp_path_factory.mktemp("first run") / "a b")
    project.create()
    result = project.bootstrap("run")
    assert result.returncode == 0, result.stderr
    return project.root


@pytest.fixture
def project(installed_once: Path, tmp_path: Path) -> Project:
    shutil.copytree(installed_once, tmp_path / "a b", symlinks=True)
    return Project(tmp_path / "a b")


def test_the_first_run_installs_the_gateway_and_the_workspace(project: Project) -> None:
    assert project.installed() == {"tiny-1.0", "part-1.0"}


def test_what_processes_import_is_compiled_once_for_all(project: Project) -> None:
    [package] = project.root.glob(".venv/lib/python3*/site-packages/tiny")

    assert list(package.glob("__pycache__/__init__.*.pyc"))
    assert not (package / "tests" / "__pycache__").exists()


def test_the_first_run_writes_settings_with_a_secret_of_its_own_for_the_owner_alone(project: Project) -> None:
    lines = dict(line.split("=") for line in project.env.read_text().splitlines() if not line.startswith("#"))

    assert stat.S_IMODE(project.env.stat().st_mode) == 0o600
    assert lines["DEBUG"] == "true"
    assert len(lines["SECRET_KEY"]) >= 50


def test_a_second_run_changes_nothing_and_says_nothing(project: Project) -> None:
    project.env.write_text("DEBUG=false\n")

    result = project.bootstrap("run")

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert project.env.read_text() == "DEBUG=false\n"


def test_a_run_that_waits_for_another_says_so_and_goes_on_after_it(project: Project) -> None:
    """The kernel wakes the waiting one when the folder's lock goes (flock(2))."""
    lock = os.open(project.root, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with project.started("run") as second:
        assert second.stdout is not None
        assert "Another `make` installs here; waiting" in second.stdout.readline()
        assert second.poll() is None

        os.close(lock)

        assert second.wait(60) == 0


def test_tests_get_the_development_packages_too_and_no_settings(project: Project) -> None:
    project.env.unlink()

    assert project.bootstrap("test").returncode == 0
    assert project.installed() == {"tiny-1.0", "part-1.0", "tool-1.0"}
    assert not project.env.exists()


def test_a_changed_pin_is_installed_at_the_next_run(project: Project) -> None:
    project.require("requirements.txt", "tiny==2.0")

    assert project.bootstrap("run").returncode == 0
    assert project.installed() == {"tiny-2.0", "part-1.0"}


def test_an_environment_whose_python_is_gone_is_made_anew(project: Project) -> None:
    python = project.root / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nonexistent/python3")

    assert project.bootstrap("run").returncode == 0
    assert project.installed() == {"tiny-1.0", "part-1.0"}


def test_a_package_that_can_not_be_had_is_named_and_the_next_run_begins_again_from_nothing(project: Project) -> None:
    """What pip has left half done can't be told from what is whole; a killed run leaves the same mark as a failed one."""
    project.require("requirements.txt", "tiny==3.0")

    result = project.bootstrap("run")

    assert result.returncode == 1
    assert "tiny==3.0" in result.stderr
    assert "could not be installed" in result.stderr
    assert (project.root / ".venv" / ".installing").exists()
    half = next(project.root.glob(".venv/lib/python3*/site-packages")) / "half-1.0.dist-info"
    half.mkdir()
    project.require("requirements.txt", "tiny==1.0")

    assert project.bootstrap("run").returncode == 0
    assert not half.exists()
    assert project.installed() == {"tiny-1.0", "part-1.0"}


def test_lists_that_disagree_are_refused(project: Project) -> None:
    project.require("workspace/mcp_server/requirements.txt", "tiny==2.0")

    assert project.bootstrap("run").returncode == 1


@pytest.mark.parametrize("arguments", [(), ("install",), ("run", "test")])
def test_other_words_are_answered_with_the_usage(project: Project, arguments: tuple[str, ...]) -> None:
    result = project.bootstrap(*arguments)

    assert result.returncode == 2
    assert "bootstrap.py run|test" in result.stderr
