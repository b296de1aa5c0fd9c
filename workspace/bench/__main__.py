"""Run each measurement of this folder, or those named: `python -m bench [backtests …]`."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import bench


def main() -> None:
    there = sorted(module.name for module in pkgutil.iter_modules(bench.__path__) if not module.name.startswith("_"))
    for name in sys.argv[1:] or there:
        importlib.import_module(f"bench.{name}").main()


if __name__ == "__main__":
    main()
