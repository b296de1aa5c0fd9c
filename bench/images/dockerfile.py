"""Run the steps of a Dockerfile: the few instructions that ours use, and an error for any other."""

import fnmatch
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.images.roots import Root

CERTIFICATE_OPTION = {"PIP_CERT": "/etc/ssl/certs/ca-certificates.crt"}


@dataclass
class Image:
    """What comes out: the last stage's root, and what it runs."""

    root: Root
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    @property
    def arguments(self) -> list[str]:
        """What a container of it starts."""
        return [*self.entrypoint, *self.command]


@dataclass
class Build:
    """One run over a Dockerfile; `new_root` makes the clean root that a FROM begins with."""

    context: Path
    new_root: Callable[[], Root]
    stages: dict[str, Root] = field(default_factory=dict)
    image: Image | None = None

    def run(self, dockerfile: Path) -> Image:
        """Raises ValueError for an instruction that it does not know, CalledProcessError for a step that fails."""
        for instruction, rest in instructions(dockerfile.read_text()):
            print(f"  {instruction} {rest[:100]}", flush=True)
            if instruction == "FROM":
                self._begin(rest)
            else:
                self._step(instruction, rest)
        return self._built

    @property
    def _built(self) -> Image:
        if self.image is None:
            raise ValueError("A Dockerfile begins with FROM.")
        return self.image

    def _begin(self, rest: str) -> None:
        found = re.fullmatch(r"python:3\.11-slim(?:\s+AS\s+(\w+))?", rest)
        if found is None:
            raise ValueError(f"FROM {rest}: only python:3.11-slim has a stand-in here.")
        self.image = Image(self.new_root())
        if name := found.group(1):
            self.stages[name] = self.image.root

    def _step(self, instruction: str, rest: str) -> None:
        image, root = self._built, self._built.root
        match instruction:
            case "COPY":
                self._copy(rest)
            case "RUN":
                root.run(["/bin/sh", "-c", rest], **CERTIFICATE_OPTION)
            case "ENV" | "WORKDIR" | "USER":
                _set(root, instruction, rest)
            case "ENTRYPOINT" | "CMD" | "HEALTHCHECK":
                _set_command(image, instruction, json.loads(rest[rest.index("[") :]))
            case "EXPOSE" | "STOPSIGNAL":
                pass
            case _:
                raise ValueError(f"{instruction}: no such instruction is known here.")

    def _copy(self, rest: str) -> None:
        words = rest.split()
        stage = next((word.removeprefix("--from=") for word in words if word.startswith("--from=")), "")
        *sources, target = [word for word in words if not word.startswith("--")]
        root = self._built.root
        into = root.folder / str(Path(root.workdir, target)).lstrip("/")
        for source in sources:
            if stage:
                shutil.copytree(self.stages[stage].folder / source.lstrip("/"), into, symlinks=True)
            elif (self.context / source).is_dir():
                shutil.copytree(self.context / source, into, ignore=ignored(self.context), dirs_exist_ok=True)
            else:
                shutil.copy(self.context / source, into / Path(source).name if target.endswith(("/", ".")) else into)


def _set(root: Root, instruction: str, rest: str) -> None:
    if instruction == "ENV":
        root.environment |= dict(re.findall(r"(\w+)=(\S+)", rest.replace("$PATH", root.environment["PATH"])))
    elif instruction == "USER":
        root.user = rest
    else:
        root.workdir = rest
        (root.folder / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)


def _set_command(image: Image, instruction: str, words: list[str]) -> None:
    if instruction == "ENTRYPOINT":
        image.entrypoint = words
    elif instruction == "CMD":
        image.command = words
    else:
        image.health = words


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Each instruction and the rest of its line, continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            instruction, _, rest = line.strip().partition(" ")
            yield instruction.upper(), rest.strip()


def ignored(context: Path) -> Callable[[str, list[str]], set[str]]:
    """For copytree: what .dockerignore leaves out."""
    file = context / ".dockerignore"
    patterns = [line.removeprefix("**/") for line in file.read_text().split()] if file.exists() else []

    def leave_out(_folder: str, names: list[str]) -> set[str]:
        return {name for name in names for pattern in patterns if fnmatch.fnmatch(name, pattern)}

    return leave_out
