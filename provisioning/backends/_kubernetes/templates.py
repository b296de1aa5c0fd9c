"""YAML templates, parsed first and filled as trees: a value becomes a scalar or a branch and never touches what is beside it."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parents[2] / "manifests"
Tree = dict[str, Any]

_PLACE = re.compile(r"\$\{([a-z_]+)\}")


def filled(file: str, values: Mapping[str, object]) -> list[Tree]:
    """The objects of a template with each scalar `${name}` replaced by the value of that name.

    A value of None leaves out the key that it belongs to. Raises KeyError for a name without a value.
    """
    return [_fill(document, values) for document in _parsed(FOLDER / file)]


def namespace_files() -> list[str]:
    """The templates of what stands once in a namespace, the namespace itself first."""
    names = sorted(f"namespace/{path.name}" for path in (FOLDER / "namespace").glob("*.yaml"))
    return sorted(names, key=lambda name: name != "namespace/namespace.yaml")


@cache
def _parsed(path: Path) -> list[Any]:
    with path.open(encoding="utf-8") as file:
        return [document for document in yaml.safe_load_all(file) if document is not None]


def _fill(node: Any, values: Mapping[str, object]) -> Any:
    if isinstance(node, dict):
        branches = {key: _fill(value, values) for key, value in node.items()}
        return {key: value for key, value in branches.items() if value is not None}
    if isinstance(node, list):
        return [_fill(item, values) for item in node]
    place = _PLACE.fullmatch(node) if isinstance(node, str) else None
    return values[place.group(1)] if place else node
