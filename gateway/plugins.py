"""A folder is the plug-in list: every module in it is loaded, in alphabetical order, at start."""

import importlib
import pkgutil
from typing import TypeVar

T = TypeVar("T")


def load_folder(package: str, *, constant: str, kind: type[T]) -> dict[str, T]:
    """Each module's `constant`, by its `name` attribute: `load_folder("agents.providers", constant="PROVIDER", kind=Provider)`.

    Modules whose name begins with `_`, and sub-packages named `tests`, are passed over. Whatever a module raises when
    imported passes through, so that a broken plug-in fails the start. Raises TypeError for a module without the constant,
    or with one of another kind, and ValueError for a name taken twice.
    """
    found: dict[str, T] = {}
    folder = importlib.import_module(package)
    for module_info in sorted(pkgutil.iter_modules(folder.__path__), key=lambda info: info.name):
        if module_info.name.startswith("_") or module_info.name == "tests":
            continue
        module = importlib.import_module(f"{package}.{module_info.name}")
        plugin = getattr(module, constant, None)
        if not isinstance(plugin, kind):
            raise TypeError(f"{module.__name__} must define {constant}, a {kind.__name__}.")
        name = str(getattr(plugin, "name", module_info.name))
        if name in found:
            raise ValueError(f"Two modules of {package} are named {name!r}.")
        found[name] = plugin
    return found
