"""Prompts, one file each: what a model is told that no person wrote. A file's first line is its version."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
_VERSION = "version: "


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt's text; `label` is its name with its version, for logs."""

    name: str
    version: int
    text: str

    @property
    def label(self) -> str:
        return f"{self.name}@{self.version}"


@cache
def prompt(name: str) -> Prompt:
    """The prompt of the file `name`.md. Raises ValueError for a file without a version."""
    first, _, text = (FOLDER / f"{name}.md").read_text(encoding="utf-8").partition("\n")
    if not first.startswith(_VERSION):
        raise ValueError(f"The prompt {name} does not begin with its version.")
    return Prompt(name, int(first.removeprefix(_VERSION)), text.strip())
