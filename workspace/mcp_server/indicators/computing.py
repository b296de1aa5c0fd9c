"""Compute an indicator from bars."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp_server.errors import BadParameter, NoVolume, TooFewBars
from mcp_server.indicators.catalogue import MA_TYPES, Indicator, Parameter, Value
from mcp_server.market.bars import PRICES, Bars

if TYPE_CHECKING:
    import numpy

# What TA-Lib returns for these is a position in the bars it was given.
POSITIONS = frozenset({"MAXINDEX", "MININDEX", "MINMAXINDEX"})


@dataclass(frozen=True, slots=True)
class Choice:
    """What to compute: parameters by name, the column that a one-series indicator reads, a second instrument's bars."""

    parameters: Mapping[str, Value]
    column: str = "close"
    against: Bars | None = None


@dataclass(frozen=True, slots=True)
class Computed:
    """The series of one indicator: `bars` and, for each output, as many values, NaN where it is not defined."""

    indicator: Indicator
    parameters: dict[str, Value]
    bars: Bars
    outputs: dict[str, list[float]]

    @property
    def holds_moments(self) -> bool:
        """Whether the values are moments, as `Bars.times` has them, instead of figures."""
        return self.indicator.name in POSITIONS


def compute(indicator: Indicator, bars: Bars, choice: Choice) -> Computed:
    """Compute from the bars given and no others; the first bars, where the indicator is undefined, are left out.

    With `against`, only the moments that both have are used. Raises BadParameter, NoVolume, TooFewBars.
    """
    from talib import abstract  # noqa: PLC0415 - see the package's docstring

    chosen = checked(indicator, choice.parameters)
    bars, against = _aligned(indicator, bars, choice)
    _check_volume(indicator, bars)
    function = abstract.Function(indicator.name)  # type: ignore[attr-defined]  # missing from the package's stub
    numbers = {name: MA_TYPES[value] if isinstance(value, str) else value for name, value in chosen.items()}
    try:
        function.parameters = numbers
        undefined: int = function.lookback
        _check_length(indicator, chosen, needed=undefined + 1, there=len(bars))
        series = function(_inputs(indicator, bars, against), **_names(indicator, choice))
    # TA-Lib raises bare Exceptions; its text says which function refused what.
    except Exception as error:
        if isinstance(error, TooFewBars):
            raise
        raise BadParameter(
            f"The parameters of {indicator.name}({_shown(chosen)}) don't go together: {error}"
        ) from error
    columns = series if isinstance(series, list) else [series]
    outputs = {name: column[undefined:].tolist() for name, column in zip(indicator.outputs, columns, strict=True)}
    return Computed(indicator, chosen, bars[undefined:], _as_moments(indicator, bars, outputs))


def checked(indicator: Indicator, given: Mapping[str, Value]) -> dict[str, Value]:
    """Every parameter with its value, the given ones checked. Raises BadParameter."""
    known = {parameter.name: parameter for parameter in indicator.parameters}
    for name in given:
        if name not in known:
            takes = f"It takes: {', '.join(known)}." if known else "It takes none."
            raise BadParameter(f"{indicator.name} has no parameter {name[:40]!r}. {takes}")
    return {
        name: _value(indicator, parameter, given[name]) if name in given else parameter.default
        for name, parameter in known.items()
    }


def _value(indicator: Indicator, parameter: Parameter, given: Value) -> Value:
    if parameter.kind == "ma":
        return _ma_type(indicator, parameter, given)
    number = given if isinstance(given, int | float) and math.isfinite(given) else None
    if parameter.kind == "int" and number is not None:
        number = int(number) if number == int(number) else None
    low, high = parameter.minimum, parameter.maximum
    if number is None or (low is not None and number < low) or (high is not None and number > high):
        kind = "a whole number" if parameter.kind == "int" else "a number"
        shown = repr(given[:40]) if isinstance(given, str) else given
        raise BadParameter(f"{parameter.name} of {indicator.name} is {shown}; it must be {kind}{_range(parameter)}.")
    return number if parameter.kind == "int" else float(number)


def _ma_type(indicator: Indicator, parameter: Parameter, given: Value) -> str:
    name = given.strip().upper() if isinstance(given, str) else ""
    if name not in MA_TYPES:
        shown = repr(given[:40]) if isinstance(given, str) else given
        raise BadParameter(
            f"{parameter.name} of {indicator.name} is {shown}; it must be the kind of moving average: "
            f"{', '.join(MA_TYPES)}."
        )
    return name


def _range(parameter: Parameter) -> str:
    if parameter.minimum is not None and parameter.maximum is not None:
        return f" from {parameter.minimum:g} to {parameter.maximum:g}"
    return f" of at least {parameter.minimum:g}" if parameter.minimum is not None else ""


def _aligned(indicator: Indicator, bars: Bars, choice: Choice) -> tuple[Bars, Bars | None]:
    if choice.column != "close" and not indicator.chooses_column and not choice.against:
        raise BadParameter(f"{indicator.name} reads {', '.join(indicator.columns)}; no other column can be chosen.")
    if choice.against is None:
        return bars, None
    if not indicator.takes_two:
        raise BadParameter(f"{indicator.name} works on one instrument; leave out `against`.")
    common = set(bars.times) & set(choice.against.times)
    if not common:
        raise TooFewBars("The two instruments have no bar of the same time in this range.")
    return bars.at(common), choice.against.at(common)


def _check_volume(indicator: Indicator, bars: Bars) -> None:
    if "volume" in indicator.columns and len(bars) and not any(bars.volume):
        raise NoVolume(f"{indicator.name} needs volume, and these bars report none. Choose one that reads prices only.")


def _check_length(indicator: Indicator, chosen: Mapping[str, Value], *, needed: int, there: int) -> None:
    if there < needed:
        raise TooFewBars(
            f"{indicator.name}({_shown(chosen)}) needs at least {needed} bars, the range holds {there}. "
            "Ask for a longer range or a larger limit, or choose a shorter period."
        )


def _shown(chosen: Mapping[str, Value]) -> str:
    return ", ".join(f"{name}={value}" for name, value in chosen.items())


def _inputs(indicator: Indicator, bars: Bars, against: Bars | None) -> dict[str, numpy.ndarray[Any, Any]]:
    import numpy  # noqa: PLC0415 - see the package's docstring
    from talib import abstract  # noqa: PLC0415 - see the package's docstring

    arrays = {name: numpy.frombuffer(getattr(bars, name)) for name in PRICES}
    if against is not None:
        arrays |= {f"other_{name}": numpy.frombuffer(getattr(against, name)) for name in PRICES}
    if "periods" in indicator.inputs:
        cycle = abstract.Function("HT_DCPERIOD")(arrays)  # type: ignore[attr-defined]  # missing from the package's stub
        arrays["periods"] = numpy.nan_to_num(cycle, nan=float(indicator.parameters[0].default))
    return arrays


def _names(indicator: Indicator, choice: Choice) -> dict[str, str]:
    """Which arrays stand for TA-Lib's inputs where others than its own are chosen."""
    if choice.against is not None:
        return {"price0": choice.column, "price1": f"other_{choice.column}"}
    return {"price": choice.column} if indicator.chooses_column else {}


def _as_moments(indicator: Indicator, bars: Bars, outputs: dict[str, list[float]]) -> dict[str, list[float]]:
    if indicator.name not in POSITIONS:
        return outputs
    return {name: [bars.times[int(place)] for place in values] for name, values in outputs.items()}
