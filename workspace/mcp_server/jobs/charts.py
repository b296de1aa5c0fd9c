"""Equity and drawdown of a backtest as a PNG that can be read on a phone."""

from __future__ import annotations

import io
from typing import Any

import numpy
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from mcp_server.jobs.contract import Result, Task

# 780 x 780 pixels, at which 11 points are 20 pixels: 9 on a screen 360 wide.
INCHES = 6.0
DOTS_PER_INCH = 130
POINTS = 11

INK, GREY, LINE, LOSS, GRID = "#1f2933", "#8a94a0", "#1b6ec2", "#c0392b", "#e3e7eb"

# From here on equal growth must look equal wherever it happened.
LOGARITHMIC_FROM = 5.0

# Its label takes a fifth of the width.
LATE_SPLIT = 0.78

# More points than pixels only cost time.
MOST_POINTS = 4_000


def run(task: Task) -> Result:
    """Draw the curves of a backtest.

    Arguments: `title`, `subtitle`; `split`, a bar before which a line is drawn, or None. Arrays: `time` (ns since
    1970), `equity`, `benchmark` and `drawdown` (shares, 0 to -1). The same input gives the same bytes.
    """
    return Result(
        {}, blobs={"chart.png": draw(task.arguments, {name: numpy.asarray(a) for name, a in task.arrays.items()})}
    )


def draw(arguments: dict[str, Any], curves: dict[str, Any]) -> bytes:
    """The PNG."""
    figure = Figure(figsize=(INCHES, INCHES), dpi=DOTS_PER_INCH, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
    times = curves["time"].astype("datetime64[ns]")
    shown = _shown(len(times))
    _draw_equity(upper, times[shown], {name: curves[name][shown] for name in ("equity", "benchmark")})
    _draw_drawdown(lower, times[shown], curves["drawdown"][shown])
    if arguments.get("split") is not None:
        _draw_split(upper, lower, times[arguments["split"]])
    upper.set_title(arguments["title"], fontsize=POINTS + 2, fontweight="bold", color=INK, loc="left", pad=22)
    upper.annotate(
        arguments["subtitle"],
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 7),
        textcoords="offset points",
        fontsize=POINTS - 1,
        color=GREY,
    )
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()


def _shown(bars: int) -> Any:
    """Which bars are drawn: all, or an even choice that has the first and the last."""
    return numpy.unique(numpy.linspace(0, bars - 1, min(bars, MOST_POINTS)).round().astype(int))


def _draw_equity(axes: Axes, times: Any, curves: dict[str, Any]) -> None:
    axes.plot(times, curves["benchmark"], color=GREY, linewidth=1.1, label="Buy and hold")
    axes.plot(times, curves["equity"], color=LINE, linewidth=1.7, label="Strategy")
    values = numpy.concatenate([curves["equity"], curves["benchmark"]])
    if values.min() > 0 and values.max() / values.min() > LOGARITHMIC_FROM:
        axes.set_yscale("log")
        wide = values.max() / values.min() > LOGARITHMIC_FROM**3
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if wide else (1, 1.5, 2, 3, 5, 7)))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(_amount))
    axes.legend(loc="upper left", fontsize=POINTS - 1, frameon=False, labelcolor=INK, reverse=True)
    _dress(axes)


def _draw_drawdown(axes: Axes, times: Any, drawdown: Any) -> None:
    axes.fill_between(times, drawdown, 0, color=LOSS, alpha=0.25, linewidth=0)
    axes.plot(times, drawdown, color=LOSS, linewidth=1.0)
    axes.set_ylim(min(float(drawdown.min()) * 1.08, -0.01), 0)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_title("Drawdown", fontsize=POINTS - 1, color=GREY, loc="left")
    locator = AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call]  # the package has no types here
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # the same
    _dress(axes)


def _draw_split(upper: Axes, lower: Axes, moment: Any) -> None:
    for axes in (upper, lower):
        axes.axvline(moment, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
    # Near the right edge there is no room for it on its own side.
    first, last = upper.get_xlim()
    late = (date2num(moment) - first) / (last - first) > LATE_SPLIT  # type: ignore[no-untyped-call]  # the same
    upper.annotate(
        "out of sample →",
        (moment, 0.03),
        xycoords=("data", "axes fraction"),
        xytext=(-4 if late else 4, 0),
        textcoords="offset points",
        horizontalalignment="right" if late else "left",
        fontsize=POINTS - 2,
        color=INK,
    )


def _dress(axes: Axes) -> None:
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=POINTS - 1, colors=INK, length=0)
    axes.margins(x=0.01)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)


def _amount(value: float, _position: int | None) -> str:
    """125000 as 125k."""
    for size, letter in ((1e9, "bn"), (1e6, "m"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"
