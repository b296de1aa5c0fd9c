"""Lets a job import what its unprivileged user can't reach by path.

The folders of Python's modules may lie below one that only root may enter (/root, a 0700 home). A path through
/proc/self/fd/N begins at an open folder and asks nothing of those above it (proc(5)), so such folders are opened before the
user changes and all imports go through these paths from then on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parents[1]

# Shared libraries, their index, time zones and fonts.
SYSTEM = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/usr/share/fonts",
    "/dev/urandom",
)


@dataclass(frozen=True, slots=True)
class Libraries:
    """What a job may read, and the descriptors that some of these paths need."""

    readable: tuple[str, ...]
    descriptors: tuple[int, ...]


def libraries() -> Libraries:
    """The folders of this process's modules, moved to /proc/self/fd where another user couldn't enter them."""
    home = str(PACKAGE.parent)
    folders = [path for path in sys.path if os.path.isdir(path)]
    moved = {path: _open(path) for path in folders if os.geteuid() == 0 and not _open_to_all(Path(path))}
    names = {path: f"/proc/self/fd/{descriptor}" for path, descriptor in moved.items()}
    _move_imports(names)
    # Of the folder that holds this package nothing else is shown.
    shown = [names.get(path, path) for path in folders if path != home]
    package = f"{names.get(home, home)}/{PACKAGE.name}"
    return Libraries((*shown, package, *SYSTEM), tuple(moved.values()))


def _open(path: str) -> int:
    return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _open_to_all(path: Path) -> bool:
    real = path.resolve()
    return all(each.stat().st_mode & 0o001 for each in (path, *path.parents, real, *real.parents))


def _move_imports(names: dict[str, str]) -> None:
    if not names:
        return
    sys.path[:] = _moved(sys.path, names)
    for module in list(sys.modules.values()):
        # A list; a namespace package's is made from sys.path again by itself.
        if isinstance(found := getattr(module, "__path__", None), list):
            found[:] = _moved(found, names)
    sys.path_importer_cache.clear()


def _moved(paths: Iterable[str], names: dict[str, str]) -> list[str]:
    # The longest first: lib-dynload lies below the standard library, both are on the path.
    order = sorted(names, key=len, reverse=True)
    return [_move(path, order, names) for path in paths]


def _move(path: str, order: list[str], names: dict[str, str]) -> str:
    for folder in order:
        if path == folder or path.startswith(folder + "/"):
            return names[folder] + path.removeprefix(folder)
    return path
