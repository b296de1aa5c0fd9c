"""Tools over technical indicators: which there are, compute some."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt

from mcp_server.errors import UnknownIndicator
from mcp_server.indicators import catalogue as library
from mcp_server.indicators.catalogue import MA_TYPES, Indicator, Parameter, Value
from mcp_server.indicators.charting import draw
from mcp_server.indicators.computing import Choice, Computed, compute
from mcp_server.market.bars import Bars
from mcp_server.market.catalogue import Catalogue
from mcp_server.market.ranges import select
from mcp_server.sandbox import Sandbox
from mcp_server.tools.market import End, Interval, Start, Symbol
from mcp_server.tools.offer import READS, READS_OUTSIDE, Illustrated, Offer

# Enough to see the way a value came without filling the answer.
TAIL = 10
MOST_AT_ONCE = 10

Point = dict[str, str | float | None]
Column = Literal["open", "high", "low", "close", "volume"]


class Wanted(BaseModel):
    """An indicator to compute."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=40, description="Name from list_indicators, e.g. 'RSI'.")]
    params: Annotated[
        dict[str, StrictInt | StrictFloat | Annotated[str, Field(max_length=20)]],
        Field(
            description="Parameters by name; those left out have their default. Periods are whole numbers of bars, kinds "
            "of moving average are named. E.g. {'timeperiod': 20, 'nbdevup': 2.5, 'matype': 'EMA'}."
        ),
    ] = {}
    column: Annotated[
        Column, Field(description="Series that a one-series indicator such as SMA reads, e.g. 'volume'.")
    ] = "close"
    against: Annotated[
        str | None,
        Field(max_length=64, description="Second instrument for BETA, CORREL, ADD, SUB, MULT and DIV, e.g. 'IXIC'."),
    ] = None


class ParameterReply(BaseModel):
    """A parameter. `type` int: a whole number; float: a number; ma: one of `choices`. Null = no bound."""

    name: str
    type: Literal["int", "float", "ma"]
    default: Value
    minimum: float | None
    maximum: float | None
    choices: list[str] | None
    description: str


class IndicatorReply(BaseModel):
    """An indicator that compute_indicators can compute. `inputs` are the columns of the bars that it reads."""

    name: str
    title: str
    category: str
    description: str
    inputs: list[str]
    params: list[ParameterReply]
    outputs: list[str]


class IndicatorsReply(BaseModel):
    """`names` gives names and titles by category; `indicators` describes those of the category that was asked for."""

    categories: list[str]
    names: dict[str, dict[str, str]]
    indicators: list[IndicatorReply]


class EventsReply(BaseModel):
    """Where a pattern was seen: how often in the range, and the last times with their values (above 0 bullish)."""

    total: int
    last: list[Point]


class ComputedReply(BaseModel):
    """One indicator's newest value and the ones just before, each with its date; `values` counts the whole series.

    Null = not defined at that bar. Of a pattern, `events` tells where it was seen and `tail` is empty.
    """

    name: str
    params: dict[str, Value]
    latest: Point
    tail: list[Point]
    values: int
    events: EventsReply | None = None
    note: str | None = None


class ComputationReply(Illustrated):
    """Indicators over one range of bars."""

    model_config = ConfigDict(populate_by_name=True)

    symbol: str
    name: str
    currency: str | None
    interval: str
    from_date: str = Field(alias="from")
    to_date: str = Field(alias="to")
    bars: int
    close: float
    results: list[ComputedReply]
    note: str | None


class IndicatorTools:
    """Indicators for a model."""

    def __init__(self, catalogue: Catalogue, sandbox: Sandbox) -> None:
        self._catalogue = catalogue
        self._sandbox = sandbox

    def offers(self) -> list[Offer]:
        return [
            Offer(self.list_indicators, "List indicators", READS),
            Offer(self.compute_indicators, "Compute indicators", READS_OUTSIDE),
        ]

    def list_indicators(
        self,
        category: Annotated[
            str | None,
            Field(max_length=40, description="A category, e.g. 'momentum', or one indicator's name, e.g. 'BBANDS'."),
        ] = None,
    ) -> IndicatorsReply:
        """List the technical indicators of TA-Lib that can be computed.

        Without a category: names and titles of all, by category. With one: also what each means, its parameters with
        type, default and range, the columns that it reads and its outputs.
        """
        everything = library.indicators().values()
        chosen = _chosen(category) if category else []
        shown = chosen or list(everything)
        names: dict[str, dict[str, str]] = {}
        for each in shown:
            names.setdefault(each.category, {})[each.name] = each.title
        return IndicatorsReply(
            categories=library.categories(), names=names, indicators=[_described(each) for each in chosen]
        )

    def compute_indicators(  # noqa: PLR0913 - a tool's arguments are its contract
        self,
        symbol: Symbol,
        indicators: Annotated[
            list[Wanted],
            Field(
                min_length=1,
                max_length=MOST_AT_ONCE,
                description="What to compute, e.g. [{'name': 'RSI', 'params': {'timeperiod': 14}}, {'name': 'MACD'}].",
            ),
        ],
        *,
        interval: Interval = None,
        start: Start = None,
        end: End = None,
        limit: Annotated[
            int | None,
            Field(
                ge=1, le=1_000_000, description="Use only the last N bars of the range, e.g. 252; left out = all of it."
            ),
        ] = None,
        chart: Annotated[
            bool, Field(description="True: also give a PNG chart of prices and indicators over the range.")
        ] = False,
    ) -> ComputationReply:
        """Compute technical indicators on an instrument's bars and give the newest values with their dates.

        'RSI of SPX over the last 252 bars' is symbol 'SPX', indicators [{'name': 'RSI'}], limit 252. Exactly the bars
        of the range enter the computation (from, to and bars say which), so give more bars than the period: smoothed
        ones such as RSI settle after about ten times it. Without start, end and limit all bars are used. `close` is the
        last close. Candlestick patterns (CDL…) tell where they were last seen.
        """
        instrument, bars = self._catalogue.find(symbol, interval)
        used = select(instrument.symbol, bars, start=start, end=end).last(limit)
        computed = [self._compute(each, used) for each in indicators]
        reply = ComputationReply(
            symbol=instrument.symbol,
            name=instrument.name,
            currency=instrument.currency,
            interval=used.interval.name,
            from_date=used.date(0),
            to_date=used.date(-1),
            bars=len(used),
            close=used.close[-1],
            results=[_reply(each) for each in computed],
            note=instrument.note,
        )
        return reply.with_picture(draw(self._sandbox, instrument, used, computed=computed)) if chart else reply

    def _compute(self, wanted: Wanted, bars: Bars) -> Computed:
        against = self._catalogue.find(wanted.against, bars.interval.name)[1] if wanted.against else None
        return compute(library.find(wanted.name), bars, Choice(wanted.params, wanted.column, against))


def _chosen(asked: str) -> list[Indicator]:
    """The indicators of a category, or the one of this name. Raises UnknownIndicator."""
    category = "_".join(asked.lower().split())
    found = [each for each in library.indicators().values() if each.category == category]
    if found:
        return found
    try:
        return [library.find(asked)]
    except UnknownIndicator as error:
        raise UnknownIndicator(f"No category {asked!r}. There are: {', '.join(library.categories())}.") from error


def _described(indicator: Indicator) -> IndicatorReply:
    return IndicatorReply(
        name=indicator.name,
        title=indicator.title,
        category=indicator.category,
        description=indicator.what,
        inputs=list(indicator.columns),
        params=[_parameter(each) for each in indicator.parameters],
        outputs=list(indicator.outputs),
    )


def _parameter(parameter: Parameter) -> ParameterReply:
    return ParameterReply(
        name=parameter.name,
        type=parameter.kind,
        default=parameter.default,
        minimum=parameter.minimum,
        maximum=parameter.maximum,
        choices=list(MA_TYPES) if parameter.kind == "ma" else None,
        description=parameter.what,
    )


def _reply(computed: Computed) -> ComputedReply:
    count = len(computed.bars)
    tail = [_point(computed, index) for index in range(max(0, count - TAIL), count)]
    events = _events(computed) if computed.indicator.is_event else None
    return ComputedReply(
        name=computed.indicator.name,
        params=computed.parameters,
        latest=tail[-1],
        tail=[] if events else tail,
        values=count,
        events=events,
        note=_undefined(computed),
    )


def _events(computed: Computed) -> EventsReply:
    columns = list(computed.outputs.values())
    seen = [index for index in range(len(computed.bars)) if any(column[index] for column in columns)]
    return EventsReply(total=len(seen), last=[_point(computed, index) for index in seen[-TAIL:]])


def _undefined(computed: Computed) -> str | None:
    """Said when figures are missing: the arcsine of a price, an average over no volume."""
    lacking = max(sum(not math.isfinite(value) for value in column) for column in computed.outputs.values())
    if not lacking:
        return None
    return f"{computed.indicator.name} is not defined at {lacking} of {len(computed.bars)} bars; there it is null."


def _point(computed: Computed, index: int) -> Point:
    """Values to ten significant digits: more are residue of the arithmetic."""
    values = {name: _shown(computed, column[index]) for name, column in computed.outputs.items()}
    return {"date": computed.bars.date(index), **values}


def _shown(computed: Computed, value: float) -> str | float | None:
    if computed.holds_moments:
        return computed.bars.show(int(value))
    return float(f"{value:.10g}") if math.isfinite(value) else None
