"""The sources of bars, one module each.

A module here has `PRIORITY`, an int (a symbol is looked up in the source with the lowest number first, then by module
name), and `open_source(surroundings)`, which returns its Source. Adding a file adds a source; nothing else names it.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from mcp_server.market.source import Source, Surroundings


def source_modules() -> list[ModuleType]:
    """Every module of this folder in the order in which symbols are looked up."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return sorted(modules, key=lambda module: int(module.PRIORITY))


def open_sources(surroundings: Surroundings) -> dict[str, Source]:
    """All sources by module name, in the order in which symbols are looked up."""
    return {module.__name__.rpartition(".")[2]: module.open_source(surroundings) for module in source_modules()}
