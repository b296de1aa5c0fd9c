"""Say what a chart of indicators shows; the drawing itself is a job of the sandbox."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Any

from mcp_server.errors import ChartFailed
from mcp_server.indicators.catalogue import Value
from mcp_server.indicators.computing import Computed
from mcp_server.market.bars import Bars
from mcp_server.market.instrument import Instrument
from mcp_server.market.times import DAY
from mcp_server.sandbox import Job, Sandbox

ENTRY = "mcp_server.jobs.indicator_chart:run"
PRELOAD = ("numpy", "matplotlib.figure", "matplotlib.backends.backend_agg")

# Older bars would be drawn thinner than a pixel; a chart of the whole range says so in its heading.
MOST_DRAWN = 2_500

# Lines that people look for in an oscillator.
LEVELS = {
    "RSI": (30, 70),
    "MFI": (20, 80),
    "STOCH": (20, 80),
    "STOCHF": (20, 80),
    "STOCHRSI": (20, 80),
    "KDJ": (20, 80),
    "WILLR": (-80, -20),
    "CCI": (-100, 100),
    "CMO": (-50, 50),
    "ADX": (25,),
    "IMI": (30, 70),
    "ULTOSC": (30, 70),
    "AROON": (30, 70),
}


def draw(sandbox: Sandbox, instrument: Instrument, bars: Bars, *, computed: Sequence[Computed]) -> bytes:
    """A PNG of prices with the indicators over or below them. Raises SandboxFailed."""
    answer = sandbox.run(chart_job(instrument, bars, computed))
    if "png" not in answer.blobs:
        raise ChartFailed
    return answer.blobs["png"]


def chart_job(instrument: Instrument, bars: Bars, computed: Sequence[Computed]) -> Job:
    """What the sandbox is asked to draw."""
    drawn = bars.last(MOST_DRAWN)
    arrays: dict[str, Any] = dict(drawn.arrays())
    layers = [_layer(each, drawn, arrays, number=number) for number, each in enumerate(computed)]
    span = f"{drawn.interval.name} bars, {drawn.date(0)} to {drawn.date(-1)}"
    arguments = {
        "title": f"{instrument.name} ({instrument.symbol})"
        if instrument.name != instrument.symbol
        else instrument.name,
        "subtitle": span if len(drawn) == len(bars) else f"{span}, the last {len(drawn)} of {len(bars)}",
        "unit": instrument.currency or "",
        "within_day": drawn.interval.length < DAY,
        "layers": layers,
    }
    return Job(ENTRY, arguments, arrays=arrays, preload=PRELOAD)


def _layer(computed: Computed, bars: Bars, arrays: dict[str, Any], *, number: int) -> dict[str, Any]:
    """How one indicator is drawn; its series are put into `arrays`, as long as the bars."""
    place = {moment: index for index, moment in enumerate(bars.times)}
    series = []
    for name, values in computed.outputs.items():
        column = array("d", [math.nan]) * len(bars)
        for moment, value in zip(computed.bars.times, values, strict=True):
            if moment in place:
                column[place[moment]] = value
        key = f"{number}/{name}"
        arrays[key] = column
        series.append({"array": key, "label": name, "style": computed.indicator.outputs[name]})
    return {
        "name": _label(computed),
        "overlay": computed.indicator.overlay,
        "event": computed.indicator.is_event,
        "skip": computed.holds_moments,
        "levels": list(LEVELS.get(computed.indicator.name, ())),
        "series": series,
    }


def _label(computed: Computed) -> str:
    values = ", ".join(_short(value) for value in computed.parameters.values())
    return f"{computed.indicator.name}({values})" if values else computed.indicator.name


def _short(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:g}"
