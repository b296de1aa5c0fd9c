"""Bring in modules that stand on LangChain or the MCP SDK: together they take seconds to import."""

import asyncio
import importlib
from types import ModuleType

_loaded: dict[str, ModuleType] = {}


async def load(name: str) -> ModuleType:
    """The module `name`, imported off the event loop when it is wanted for the first time."""
    module = _loaded.get(name)
    if module is None:
        # Not sys.modules: there a module stands while another thread is still executing it.
        module = _loaded[name] = await asyncio.to_thread(importlib.import_module, name)
    return module
