"""Which indicators there are, read from functions.json; `find` knows a name in any case and helps with others."""

from __future__ import annotations

import difflib
import functools
import json
from dataclasses import dataclass
from typing import Any

from mcp_server.errors import UnknownIndicator
from mcp_server.indicators.survey import FILE
from mcp_server.indicators.words import DESCRIPTIONS, SYNONYMS

# TA-Lib's numbers for its moving averages (talib.MA_Type), by the names of the indicators that they are.
MA_TYPES = {
    "SMA": 0,
    "EMA": 1,
    "WMA": 2,
    "DEMA": 3,
    "TEMA": 4,
    "TRIMA": 5,
    "KAMA": 6,
    "MAMA": 7,
    "T3": 8,
    "HMA": 9,
    "NONE": 10,
    "DEFAULT": 11,
    "ZLEMA": 12,
    "RMA": 13,
}
MA_NAMES = {number: name for name, number in MA_TYPES.items()}

# TA-Lib's word for "no bound": 3e37.
BOUNDLESS = 1e37

Value = int | float | str


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something that an indicator takes: a whole number (of bars, mostly), a number or the kind of a moving average."""

    name: str
    kind: str
    default: Value
    what: str
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, slots=True)
class Indicator:
    """An indicator that can be computed.

    `inputs` are TA-Lib's: each name stands for one column, or for several. `outputs` are the names of its series and
    how they are drawn. `overlay`: its values are prices.
    """

    name: str
    title: str
    category: str
    what: str
    inputs: dict[str, str | tuple[str, ...]]
    parameters: tuple[Parameter, ...]
    outputs: dict[str, str]
    overlay: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the bars that it reads unless others are chosen."""
        read = [name for value in self.inputs.values() for name in ((value,) if isinstance(value, str) else value)]
        return tuple(name for name in dict.fromkeys(read) if name != "periods")

    @property
    def chooses_column(self) -> bool:
        """Whether it works on any one series, so that another column than the close can be asked for."""
        return "price" in self.inputs

    @property
    def takes_two(self) -> bool:
        """Whether it compares two series, so that a second instrument can be asked for."""
        return "price1" in self.inputs

    @property
    def is_event(self) -> bool:
        """Whether its values say that something was seen, 0 where it was not."""
        return self.category == "patterns" or self.name == "FRACTAL"


@functools.cache
def indicators() -> dict[str, Indicator]:
    """All indicators by name, in order of their names."""
    return {entry["name"]: _indicator(entry) for entry in json.loads(FILE.read_text(encoding="utf-8"))}


def categories() -> list[str]:
    return sorted({each.category for each in indicators().values()})


def find(name: str) -> Indicator:
    """The indicator of this name, in any case. Raises UnknownIndicator, which names likely ones."""
    found = indicators().get(_plain(name).replace(" ", "_"))
    if found:
        return found
    likely = [f"{each.name} ({each.title})" for each in _likely(name)]
    hint = f"Did you mean {' or '.join(likely)}? " if likely else ""
    raise UnknownIndicator(
        f"No indicator {name[:40]!r}. {hint}list_indicators names all, with a category also their parameters."
    )


def _likely(name: str) -> list[Indicator]:
    known, plain = indicators(), _plain(name)
    words = [meant for word, meant in SYNONYMS.items() if word == plain or (len(plain) > 3 and plain in word)]
    titled = [each.name for each in known.values() if len(plain) > 3 and plain in each.title.upper()]
    similar = difflib.get_close_matches(plain.replace(" ", ""), list(known), n=2, cutoff=0.7)
    return [known[each] for each in dict.fromkeys([*words, *titled, *similar])][:4]


def _plain(name: str) -> str:
    return " ".join(name.upper().replace("_", " ").replace("-", " ").split())


def _indicator(entry: dict[str, Any]) -> Indicator:
    name: str = entry["name"]
    parameters = tuple(_parameter(each) for each in entry["params"])
    # A single series is called as the indicator: "real" and "integer" say nothing.
    outputs = entry["outputs"] if len(entry["outputs"]) > 1 else {name: next(iter(entry["outputs"].values()))}
    inputs = {key: value if isinstance(value, str) else tuple(value) for key, value in entry["inputs"].items()}
    found = Indicator(name, entry["title"], entry["category"], "", inputs, parameters, outputs, entry["overlay"])
    return Indicator(
        name, found.title, found.category, _what(found, entry), inputs, parameters, outputs, entry["overlay"]
    )


def _parameter(entry: dict[str, Any]) -> Parameter:
    if entry["kind"] == "ma":
        return Parameter(entry["name"], "ma", MA_NAMES[entry["default"]], entry["what"])
    bounds = [entry[key] if abs(entry[key]) < BOUNDLESS else None for key in ("minimum", "maximum")]
    return Parameter(entry["name"], entry["kind"], entry["default"], entry["what"], *bounds)


def _what(indicator: Indicator, entry: dict[str, Any]) -> str:
    """A sentence or two: what it is, what it reads, what to mind."""
    parts = [DESCRIPTIONS.get(indicator.name) or f"{indicator.title}, from {', '.join(indicator.columns)}."]
    if indicator.category == "patterns":
        parts = [f"Candlestick pattern {indicator.title}: above 0 bullish, below 0 bearish, 0 = not seen at that bar."]
    if entry["settles"]:
        parts.append("Smoothed without end: its first values depend on where the bars begin.")
    if entry["from_start"]:
        parts.append("Adds up from the first bar: only changes mean something.")
    return " ".join(parts)
