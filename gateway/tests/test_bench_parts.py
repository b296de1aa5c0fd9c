"""The parts of `make image-check` and `make upgrade-check` that need no root, no registry and no second release, and bounds.

Source: https://docs.docker.com/reference/dockerfile/ for the few instructions that ours use.
"""

import subprocess
from pathlib import Path

import pytest

from bench.images.dockerfile import Build, Image, instructions
from bench.images.roots import Root
from bench.page import Figures, past_bounds
from bench.upgrade import beside, reason_of
from gateway.env import ROOT

DOCKERFILES = [
    ROOT / "Dockerfile",
    ROOT / "workspace/mcp_server/Dockerfile",
    ROOT / "workspace/lifecycle_sidecar/Dockerfile",
]
# What needs to enter the root.
ENTERS = {"RUN"}


def built(text: str, folder: Path, files: dict[str, str] | None = None) -> Image:
    """The image of a Dockerfile, over a context with these files; each stage's root is a new folder."""
    context = folder / "context"
    for name, content in (files or {}).items():
        path = context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    context.mkdir(exist_ok=True)
    file = folder / "Dockerfile"
    file.write_text(text)
    numbers = iter(range(9))

    def new_root() -> Root:
        made = folder / str(next(numbers))
        made.mkdir()
        return Root(made)

    return Build(context, new_root).run(file)


def test_lines_that_go_on_are_one_instruction_and_comments_are_none() -> None:
    text = '# syntax\nFROM python:3.11-slim\n\nRUN one \\\n  # between\n  && two\ncmd ["x"]\n'

    found = [(name, rest.split()) for name, rest in instructions(text)]

    assert found == [("FROM", ["python:3.11-slim"]), ("RUN", ["one", "&&", "two"]), ("CMD", ['["x"]'])]


@pytest.mark.parametrize("file", DOCKERFILES, ids=["gateway", "workspace", "sidecar"])
def test_each_of_our_dockerfiles_has_only_instructions_that_are_carried_out(file: Path, tmp_path: Path) -> None:
    """All but what runs in the root and what is copied out of it or out of the project."""
    lines = [f"{name} {rest}" for name, rest in instructions(file.read_text()) if name not in ENTERS | {"COPY"}]

    image = built("\n".join(lines), tmp_path)

    assert image.arguments[0] == "python"
    assert image.health[0] == "python"
    assert image.root.settings()["IDENTITY"] == "10001:10001"


def test_an_image_has_its_last_stages_root_and_what_it_runs(tmp_path: Path) -> None:
    text = (
        "FROM python:3.11-slim AS build\nWORKDIR /made\nCOPY a.txt .\nFROM python:3.11-slim\n"
        "ENV GREETING=hello \\\n  PATH=/venv/bin:$PATH\nCOPY --from=build /made /kept\nCOPY code code\nUSER 5:6\nEXPOSE 80\n"
        'ENTRYPOINT ["python", "-m"]\nCMD ["thing"]\nHEALTHCHECK --timeout=3s \\\n  CMD ["python", "-V"]\n'
    )

    image = built(
        text, tmp_path, {"a.txt": "a", "code/b.py": "b", "code/tests/c.py": "c", ".dockerignore": "**/tests\n"}
    )

    assert image.root.folder.name == "1"
    assert (image.root.folder / "kept/a.txt").read_text() == "a"
    assert [path.name for path in (image.root.folder / "code").iterdir()] == ["b.py"]
    assert image.root.environment["GREETING"] == "hello"
    assert image.root.environment["PATH"].startswith("/venv/bin:/usr/local/bin:")
    assert (image.arguments, image.health) == (["python", "-m", "thing"], ["python", "-V"])


@pytest.mark.parametrize("text", ["FROM alpine", "FROM python:3.11-slim\nADD x y", "WORKDIR /x"])
def test_what_has_no_stand_in_here_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"stand-in|no such instruction|begins with FROM"):
        built(text, tmp_path)


def test_a_started_process_has_a_root_that_it_can_not_write_and_nothing_of_our_environment(tmp_path: Path) -> None:
    root = Root(tmp_path, workdir="/a folder", user="10001:10001")

    command = root.command(["python", "-V"], PORT="3000")
    settings = root.settings(read_only=True, writable=["/data"])

    assert command[0] == "unshare"
    assert command[-2:] == ["python", "-V"]
    assert {"PORT=3000", "HOME=/root"} <= set(command)
    assert "cd '/a folder' && exec" in command[-4]
    assert (settings["IDENTITY"], settings["READ_ONLY"], settings["WRITABLE"]) == ("10001:10001", "yes", "/data")
    assert set(settings) == {"PATH", "ROOT", "IDENTITY", "READ_ONLY", "WRITABLE"}


def test_a_user_without_a_group_has_the_group_of_its_number(tmp_path: Path) -> None:
    assert Root(tmp_path, user="7").settings()["IDENTITY"] == "7:7"


@pytest.mark.parametrize(
    "url", ["postgresql://u:p@127.0.0.1:5432/gateway?sslmode=disable", "postgresql://u:p@127.0.0.1:5432/"]
)
def test_the_restored_database_is_beside_the_one_that_was_dumped(url: str) -> None:
    assert beside(url, "restored").startswith("postgresql://u:p@127.0.0.1:5432/restored")
    assert beside(url, "restored").partition("?")[2] == url.partition("?")[2]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (AssertionError("2 turns did not end well"), "2 turns did not end well"),
        (AssertionError(), "AssertionError: raise error"),
        (TimeoutError(), "TimeoutError"),
        (subprocess.CalledProcessError(1, ["pg_dump"]), "pg_dump"),
    ],
    ids=["words", "bare", "timeout", "command"],
)
def test_a_failed_check_says_why_and_where(error: Exception, words: str) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        fail()

    first, *rest = reason_of(raised.value).splitlines()
    assert first.startswith("upgrade-check: ")
    assert words in first
    assert any("in fail" in line for line in rest)


@pytest.mark.parametrize(
    ("paint", "weight", "wrong"), [(999, 149.9, 0), (1000, 149.9, 1), (999, 150.0, 1), (1000, 150.0, 2)]
)
def test_a_page_fails_past_a_second_and_150_kb(paint: int, weight: float, wrong: int) -> None:
    """Source: the bounds that README names for `make bench-page`."""
    figures: Figures = {"first_paint_ms": {"p50": paint, "max": 5000}, "files": 1, "kilobytes": weight}

    assert len(past_bounds("chat", figures)) == wrong
