"""Run each measurement of this folder, or those named: `python -m figures [start …]`. Exits with 1 when one is out of bounds."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys

import figures


def main() -> None:
    there = sorted(module.name for module in pkgutil.iter_modules(figures.__path__) if not module.name.startswith("_"))
    parser = argparse.ArgumentParser(prog="figures", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(there))
    names = parser.parse_args().names
    if unknown := [name for name in names if name not in there]:
        parser.error(f"no such measurement: {', '.join(unknown)}")
    excesses: list[str] = []
    for name in names or there:
        excesses += importlib.import_module(f"figures.{name}").main() or ()
    if excesses:
        sys.exit("Out of bounds: " + "; ".join(excesses))


if __name__ == "__main__":
    main()
