"""Draw prices with indicators over and below them, as a PNG that can be read on a phone."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from mcp_server.jobs.contract import Result, Task

# 960 pixels wide: text of 10 points is then 9 pixels high on a phone of 390.
WIDTH_INCHES, DPI = 6.0, 160
PRICE_INCHES, PANEL_INCHES = 3.2, 1.1
HEAD_INCHES, GAP_INCHES, FOOT_INCHES = 0.58, 0.28, 0.32
LEFT, RIGHT = 0.03, 0.86

# More candles than this would touch.
MOST_CANDLES = 130

INK, GRID, UP, DOWN = "#1f2933", "#e4e7eb", "#16836b", "#c2410c"
PRICE_LINE, FAINT = "#334155", "#616e7c"
LEGEND_SPACING: dict[str, Any] = {"borderpad": 0.3, "handlelength": 1.4, "columnspacing": 1.0}
# Okabe and Ito's palette, told apart by colour-blind people too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#6b46c1", "#000000")

Layer = dict[str, Any]


def run(task: Task) -> Result:
    """`blobs["png"]`; `values` counts the panels."""
    layers = [layer for layer in task.arguments["layers"] if not layer["skip"]]
    over = [layer for layer in layers if layer["event"] or _lies_on_prices(layer, task)]
    below = [layer for layer in layers if layer not in over]
    figure, axes = _panels(len(below))
    _draw_prices(axes[0], task)
    colours = _Colours()
    for layer in over:
        (_mark if layer["event"] else _plot)(axes[0], layer, task, colours=colours)
    for axis, layer in zip(axes[1:], below, strict=True):
        _draw_panel(axis, layer, task)
    _finish(figure, axes, task)
    return Result({"panels": len(axes)}, blobs={"png": _png(figure)})


class _Colours:
    """Colours in turn."""

    def __init__(self) -> None:
        self._next = 0

    def take(self) -> str:
        self._next += 1
        return COLOURS[(self._next - 1) % len(COLOURS)]


def _lies_on_prices(layer: Layer, task: Task) -> bool:
    """TA-Lib also calls a deviation of prices, or a direction beside a line, of the scale of prices."""
    if not layer["overlay"]:
        return False
    low, high = task.arrays["low"].min(), task.arrays["high"].max()
    middles = [np.nanmedian(task.arrays[each["array"]]) for each in layer["series"] if _drawable(each, task)]
    return bool(middles) and low / 3 < max(middles) < high * 3


def _drawable(series: dict[str, Any], task: Task) -> bool:
    return bool(np.isfinite(task.arrays[series["array"]]).any())


def _panels(below: int) -> tuple[Figure, list[Axes]]:
    """The prices above, `below` panels under them, each with a line of text over it."""
    height = HEAD_INCHES + PRICE_INCHES + below * (GAP_INCHES + PANEL_INCHES) + FOOT_INCHES
    figure = Figure(figsize=(WIDTH_INCHES, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes: list[Axes] = []
    bottom = height - HEAD_INCHES
    for inches in (PRICE_INCHES, *[PANEL_INCHES] * below):
        bottom -= inches
        place = (LEFT, bottom / height, RIGHT - LEFT, inches / height)
        axes.append(figure.add_axes(place, sharex=axes[0] if axes else None))
        bottom -= GAP_INCHES
    return figure, axes


def _draw_prices(axis: Axes, task: Task) -> None:
    close = task.arrays["close"]
    if len(close) > MOST_CANDLES or bool((task.arrays["high"] == task.arrays["low"]).all()):
        axis.plot(np.arange(len(close)), close, color=PRICE_LINE, linewidth=_width(len(close)), label="close", zorder=2)
        return
    place = np.arange(len(close))
    rises = close >= task.arrays["open"]
    for chosen, colour in ((rises, UP), (~rises, DOWN)):
        low, high = task.arrays["low"][chosen], task.arrays["high"][chosen]
        opened, closed = task.arrays["open"][chosen], close[chosen]
        axis.vlines(place[chosen], low, high, color=colour, linewidth=0.9, zorder=2)
        flat = np.maximum(np.abs(closed - opened), (high.max(initial=0) - low.min(initial=0)) * 0.002)
        axis.bar(place[chosen], flat, 0.68, np.minimum(opened, closed), color=colour, linewidth=0, zorder=3)


def _width(count: int) -> float:
    return 1.2 if count < 600 else 0.8


def _plot(axis: Axes, layer: Layer, task: Task, *, colours: _Colours) -> None:
    """Lines over the prices. The two edges of a band share a colour and the space between is tinted."""
    place = np.arange(len(task.arrays["time"]))
    drawn = [each for each in layer["series"] if _drawable(each, task) and _near_prices(each, task)]
    band = [task.arrays[each["array"]] for each in drawn if each["style"] == "band"]
    edge = colours.take()
    for each in drawn:
        colour = edge if each["style"] == "band" or len(drawn) == 1 or band else colours.take()
        style = "--" if each["style"] == "dashed" or (band and each["style"] != "band") else "-"
        label = _legend(layer, each, drawn)
        axis.plot(
            place,
            task.arrays[each["array"]],
            color=colour,
            linewidth=_width(len(place)),
            linestyle=style,
            label=label,
            zorder=4,
        )
    if len(band) == 2:
        axis.fill_between(place, band[0], band[1], color=edge, alpha=0.08, linewidth=0, zorder=1)


def _near_prices(series: dict[str, Any], task: Task) -> bool:
    middle = np.nanmedian(task.arrays[series["array"]])
    return bool(task.arrays["low"].min() / 3 < middle < task.arrays["high"].max() * 3)


def _legend(layer: Layer, series: dict[str, Any], drawn: list[dict[str, Any]]) -> str:
    """One entry for an indicator of several lines that share a colour."""
    if len(drawn) == 1 or (series["style"] == "band" and series is drawn[0]):
        return str(layer["name"])
    return "_nolegend_" if any(each["style"] == "band" for each in drawn) else f"{layer['name']} {series['label']}"


def _mark(axis: Axes, layer: Layer, task: Task, *, colours: _Colours) -> None:
    """A triangle below a bullish and above a bearish pattern."""
    colour = colours.take()
    reach = (task.arrays["high"].max() - task.arrays["low"].min()) * 0.025
    label = layer["name"].removeprefix("CDL").capitalize() if layer["name"].startswith("CDL") else layer["name"]
    for series in layer["series"]:
        values = np.nan_to_num(task.arrays[series["array"]])
        bull = values > 0 if series["label"] != "swinghigh" else np.zeros(len(values), bool)
        bear = values < 0 if series["label"] != "swinghigh" else values > 0
        for seen, base, sign, shape in ((bull, "low", -1, "^"), (bear, "high", 1, "v")):
            place = np.flatnonzero(seen)
            if len(place):
                height = task.arrays[base][place] + sign * reach
                axis.plot(place, height, shape, color=colour, markersize=5, label=label, zorder=5)
                label = "_nolegend_"


def _draw_panel(axis: Axes, layer: Layer, task: Task) -> None:
    colours = _Colours()
    place = np.arange(len(task.arrays["time"]))
    for level in layer["levels"]:
        axis.axhline(level, color="#9aa5b1", linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    for each in layer["series"]:
        if not _drawable(each, task):
            continue
        values = np.where(np.isfinite(task.arrays[each["array"]]), task.arrays[each["array"]], np.nan)
        label = each["label"] if len(layer["series"]) > 1 else "_nolegend_"
        if each["style"] == "histogram":
            tints = np.where(np.nan_to_num(values) >= 0, UP, DOWN)
            axis.bar(place, np.nan_to_num(values), 1.0, color=tints, alpha=0.45, linewidth=0, zorder=2)
        else:
            axis.plot(place, values, color=colours.take(), linewidth=_width(len(place)), label=label, zorder=3)
    axis.set_title(layer["name"], loc="left", fontsize=9, color=INK, pad=4)
    if not any(_drawable(each, task) for each in layer["series"]):
        axis.text(0.5, 0.5, "not defined in this range", transform=axis.transAxes, ha="center", fontsize=9, color=FAINT)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(
            loc="lower right", bbox_to_anchor=(1.0, 0.97), fontsize=8.5, ncols=4, frameon=False, **LEGEND_SPACING
        )


def _finish(figure: Figure, axes: list[Axes], task: Task) -> None:
    height = figure.get_size_inches()[1]
    figure.text(LEFT, 1 - 0.1 / height, task.arguments["title"], va="top", fontsize=13, color=INK, weight="bold")
    figure.text(LEFT, 1 - 0.34 / height, task.arguments["subtitle"], va="top", fontsize=9, color=FAINT)
    if task.arguments["unit"]:
        figure.text(RIGHT + 0.01, 1 - 0.34 / height, task.arguments["unit"], va="top", fontsize=9, color=FAINT)
    for axis in axes:
        axis.yaxis.tick_right()
        axis.yaxis.set_major_locator(MaxNLocator(nbins=6 if axis is axes[0] else 3))
        axis.yaxis.set_major_formatter(FuncFormatter(_figure))
        axis.grid(visible=True, color=GRID, linewidth=0.8)
        axis.set_axisbelow(True)
        axis.tick_params(labelsize=9, length=0, colors=INK, labelbottom=axis is axes[-1])
        for side in axis.spines.values():
            side.set_color(GRID)
    axes[0].set_xlim(-1, len(task.arrays["time"]))
    _name_times(axes[-1], task)
    if axes[0].get_legend_handles_labels()[0]:
        legend = axes[0].legend(loc="best", fontsize=8.5, ncols=2, frameon=True, **LEGEND_SPACING)
        legend.get_frame().set(facecolor="white", edgecolor="none", alpha=0.8)


def _name_times(axis: Axes, task: Task) -> None:
    """Bars stand side by side, so that nights and weekends leave no gap; about five are named."""
    times = task.arrays["time"]
    count = min(5, len(times))
    # The outermost are moved in, so that their names stay inside the picture.
    inset = int(len(times) * 0.06)
    places = np.unique(np.linspace(inset, len(times) - 1 - inset, count).astype(int))
    axis.xaxis.set_major_locator(FixedLocator([float(place) for place in places]))
    span_days = (int(times[-1]) - int(times[0])) / 86_400e9
    form = _time_form(span_days, within_day=task.arguments["within_day"])
    axis.set_xticklabels([_utc(int(times[place])).strftime(form) for place in places])


def _time_form(span_days: float, *, within_day: bool) -> str:
    if within_day and span_days < 2:
        return "%H:%M"
    if within_day and span_days < 12:
        return "%d %b %H:%M"
    return "%d %b %y" if span_days < 900 else "%b %Y"


def _utc(moment: int) -> datetime:
    return datetime.fromtimestamp(moment // 10**9, UTC)


def _figure(value: float, _position: float | None) -> str:
    """A figure as short as the axis has room for."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def _png(figure: Figure) -> bytes:
    # Without `Software` the bytes don't change with the version's name.
    output = io.BytesIO()
    figure.savefig(output, format="png", metadata={"Software": None})
    return output.getvalue()
