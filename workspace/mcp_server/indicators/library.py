"""Technical indicators, computed by TA-Lib (BSD licence; its wheels carry the C library).

TA-Lib and numpy cost 20 MB and a quarter of a second, so they are imported by the first computation, not at start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mcp_server.errors import BadParameter, TooFewBars, UnknownIndicator
from mcp_server.market.bars import Bars

# TA-Lib's own upper bound of every period.
LONGEST_PERIOD = 100_000


@dataclass(frozen=True, slots=True)
class Parameter:
    """A whole number that an indicator takes, counted in bars."""

    name: str
    default: int
    low: int
    what: str


@dataclass(frozen=True, slots=True)
class Indicator:
    """An indicator that can be computed. `outputs` are the names of its series."""

    name: str
    title: str
    category: str
    what: str
    parameters: tuple[Parameter, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Computed:
    """The series of one indicator: `dates` and, for each output, as many values."""

    indicator: Indicator
    parameters: dict[str, int]
    dates: tuple[str, ...]
    outputs: dict[str, list[float]]


INDICATORS = (
    Indicator(
        "MACD",
        "Moving average convergence/divergence",
        "momentum",
        "Difference of a fast and a slow exponential average of the close, its signal line and their distance.",
        (
            Parameter("fastperiod", 12, 2, "bars of the fast average"),
            Parameter("slowperiod", 26, 2, "bars of the slow average"),
            Parameter("signalperiod", 9, 1, "bars of the signal line"),
        ),
        ("macd", "macdsignal", "macdhist"),
    ),
    Indicator(
        "RSI",
        "Relative strength index",
        "momentum",
        "Wilder's ratio of average gains to all changes of the close, 0 to 100; above 70 is called overbought, "
        "below 30 oversold.",
        (Parameter("timeperiod", 14, 2, "bars of Wilder's average"),),
        ("RSI",),
    ),
    Indicator(
        "SMA",
        "Simple moving average",
        "overlap",
        "Mean of the last closes, in the currency of the instrument.",
        (Parameter("timeperiod", 30, 1, "bars in the mean"),),
        ("SMA",),
    ),
)


def find(name: str) -> Indicator:
    """The indicator of this name, in any case. Raises UnknownIndicator."""
    for indicator in INDICATORS:
        if indicator.name == name.strip().upper():
            return indicator
    known = ", ".join(indicator.name for indicator in INDICATORS)
    raise UnknownIndicator(f"No indicator {name[:40]!r}. There are: {known}. list_indicators describes them.")


def compute(indicator: Indicator, bars: Bars, *, parameters: Mapping[str, int]) -> Computed:
    """Compute from the bars given and no others; the first bars, where the indicator is undefined, are left out.

    Raises BadParameter, TooFewBars.
    """
    import numpy  # noqa: PLC0415 - see above
    from talib import abstract  # noqa: PLC0415 - see above

    chosen = _checked(indicator, parameters)
    function = abstract.Function(indicator.name)  # type: ignore[attr-defined]  # missing from the package's stub
    function.parameters = chosen
    undefined: int = function.lookback
    if len(bars) <= undefined:
        shown = ", ".join(f"{name}={value}" for name, value in chosen.items())
        raise TooFewBars(
            f"{indicator.name}({shown}) needs at least {undefined + 1} bars, the range holds {len(bars)}. "
            "Ask for a longer range or a larger limit, or choose a shorter period."
        )
    series = function({"close": numpy.frombuffer(bars.close)})
    columns = series if isinstance(series, list) else [series]
    outputs = {name: column[undefined:].tolist() for name, column in zip(indicator.outputs, columns, strict=True)}
    return Computed(indicator, chosen, bars.dates[undefined:], outputs)


def _checked(indicator: Indicator, given: Mapping[str, int]) -> dict[str, int]:
    known = {parameter.name: parameter for parameter in indicator.parameters}
    for name, value in given.items():
        if name not in known:
            raise BadParameter(f"{indicator.name} has no parameter {name[:40]!r}. It takes: {', '.join(known)}.")
        low = known[name].low
        if not low <= value <= LONGEST_PERIOD:
            raise BadParameter(
                f"{name} of {indicator.name} is {value}; it must be a whole number from {low} to {LONGEST_PERIOD}."
            )
    return {name: given.get(name, parameter.default) for name, parameter in known.items()}
