"""Write functions.json anew from the installed TA-Lib: `python -m mcp_server.indicators.survey` (needs Linux).

The server reads the file, so that listing indicators loads no C library; a test holds the file against TA-Lib. The
ranges of parameters stand in the C library only (ta_abstract.h), its Python package doesn't pass them on.
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("functions.json")

# TA_OptInput_RealRange, TA_OptInput_IntegerRange, TA_OptInput_IntegerList of ta_abstract.h.
KINDS = {0: "float", 2: "int", 3: "ma"}

CATEGORIES = {
    "Cycle Indicators": "cycle",
    "Math Operators": "math_operators",
    "Math Transform": "math_transform",
    "Momentum Indicators": "momentum",
    "Overlap Studies": "overlap",
    "Pattern Recognition": "patterns",
    "Price Transform": "price_transform",
    "Statistic Functions": "statistics",
    "Volatility Indicators": "volatility",
    "Volume Indicators": "volume",
}


class RealRange(ctypes.Structure):
    _fields_ = [("min", ctypes.c_double), ("max", ctypes.c_double)]


class IntegerRange(ctypes.Structure):
    _fields_ = [("min", ctypes.c_int), ("max", ctypes.c_int)]


class OptInput(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("flags", ctypes.c_int),
        ("display", ctypes.c_char_p),
        ("data_set", ctypes.c_void_p),
        ("default", ctypes.c_double),
        ("hint", ctypes.c_char_p),
        ("help_file", ctypes.c_char_p),
    ]


def survey() -> list[dict[str, Any]]:
    """Every function of the installed TA-Lib, by name."""
    import talib  # noqa: PLC0415 - only this program needs it

    return [describe(name) for name in sorted(talib.get_functions())]  # type: ignore[no-untyped-call]


def describe(name: str) -> dict[str, Any]:
    """One function as functions.json has it."""
    from talib import abstract  # noqa: PLC0415 - only this program needs it

    info = abstract.Function(name).info  # type: ignore[attr-defined]  # missing from the package's stub
    flags = info["function_flags"] or []
    return {
        "name": name,
        "title": info["display_name"],
        "category": CATEGORIES[info["group"]],
        "inputs": {key: value if isinstance(value, str) else list(value) for key, value in info["input_names"].items()},
        "params": [_parameter(name, index) for index in range(len(info["parameters"]))],
        "outputs": {key: _style(styles) for key, styles in info["output_flags"].items()},
        "overlay": "Output scale same as input" in flags,
        "settles": "Function has an unstable period" in flags,
        "from_start": "Output is path-dependent" in flags,
    }


def _style(styles: list[str]) -> str:
    found = {"Histogram": "histogram", "Dashed Line": "dashed", "Values represent an upper limit": "band"}
    found["Values represent a lower limit"] = "band"
    return next((found[style] for style in styles if style in found), "line")


def _parameter(function: str, index: int) -> dict[str, Any]:
    info = _opt_input(function, index)
    kind = KINDS[info.type]
    entry: dict[str, Any] = {
        "name": info.name.decode().removeprefix("optIn").lower(),
        "kind": kind,
        "default": info.default if kind == "float" else int(info.default),
        "what": info.hint.decode(),
    }
    if kind == "ma":
        return entry
    limits = ctypes.cast(info.data_set, ctypes.POINTER(RealRange if kind == "float" else IntegerRange)).contents
    return {**entry, "minimum": limits.min, "maximum": limits.max}


def _opt_input(function: str, index: int) -> OptInput:
    library, handle = _library(), ctypes.c_void_p()
    library.TA_GetFuncHandle(function.encode(), ctypes.byref(handle))
    info = ctypes.POINTER(OptInput)()
    library.TA_GetOptInputParameterInfo(handle, index, ctypes.byref(info))
    return info.contents


def _library() -> ctypes.CDLL:
    """The C library that the package has loaded."""
    mapped = Path("/proc/self/maps").read_text(encoding="utf-8").split()
    return ctypes.CDLL(next(path for path in mapped if "libta-lib" in path))


def written(entries: list[dict[str, Any]]) -> str:
    """The file's text, one function a line."""
    return "[\n" + ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries) + "\n]\n"


if __name__ == "__main__":
    FILE.write_text(written(survey()), encoding="utf-8")
    sys.stdout.write(f"{FILE}: {FILE.stat().st_size} bytes\n")
