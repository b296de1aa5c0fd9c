"""Tools over technical indicators: which there are, compute some."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from mcp_server import indicators as library
from mcp_server.indicators import Computed, Indicator
from mcp_server.market.catalogue import Catalogue
from mcp_server.tools.market import End, Start, Symbol, select
from mcp_server.tools.offer import READS, Offer

# Enough to see the way a value came without filling the answer.
TAIL = 10
MOST_AT_ONCE = 10

Point = dict[str, str | float]


class Wanted(BaseModel):
    """An indicator to compute."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=40, description="Name from list_indicators, e.g. 'RSI'.")]
    params: Annotated[
        dict[str, StrictInt],
        Field(description="Parameters by name, in bars; those left out have their default. E.g. {'timeperiod': 14}."),
    ] = {}


class ParameterReply(BaseModel):
    """A parameter: a whole number of bars."""

    name: str
    default: int
    minimum: int
    maximum: int
    description: str


class IndicatorReply(BaseModel):
    """An indicator that compute_indicators can compute."""

    name: str
    title: str
    category: str
    description: str
    params: list[ParameterReply]
    outputs: list[str]


class IndicatorsReply(BaseModel):
    """The indicators of a category, or all."""

    indicators: list[IndicatorReply]
    categories: list[str]


class ComputedReply(BaseModel):
    """One indicator's newest value and the ones just before, each with its date; `values` counts the whole series."""

    name: str
    params: dict[str, int]
    latest: Point
    tail: list[Point]
    values: int


class ComputationReply(BaseModel):
    """Indicators over one range of bars."""

    model_config = ConfigDict(populate_by_name=True)

    symbol: str
    name: str
    currency: str | None
    from_date: str = Field(alias="from")
    to_date: str = Field(alias="to")
    bars: int
    close: float
    results: list[ComputedReply]


class IndicatorTools:
    """Indicators for a model."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def offers(self) -> list[Offer]:
        return [
            Offer(self.list_indicators, "List indicators", READS),
            Offer(self.compute_indicators, "Compute indicators", READS),
        ]

    def list_indicators(
        self,
        category: Annotated[
            str | None, Field(max_length=40, description="Only this category, e.g. 'momentum'; left out = all.")
        ] = None,
    ) -> IndicatorsReply:
        """List the technical indicators that can be computed, with their parameters, defaults and outputs."""
        wanted = category.strip().lower() if category else None
        return IndicatorsReply(
            indicators=[_described(each) for each in library.INDICATORS if wanted in (None, each.category)],
            categories=sorted({each.category for each in library.INDICATORS}),
        )

    def compute_indicators(
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
        start: Start = None,
        end: End = None,
        limit: Annotated[
            int | None,
            Field(ge=1, description="Use only the last N bars of the range, e.g. 252; left out = all of it."),
        ] = None,
    ) -> ComputationReply:
        """Compute technical indicators on an instrument's daily closes and give the newest values with their dates.

        'RSI of SPX over the last 252 bars' is symbol 'SPX', indicators [{'name': 'RSI'}], limit 252. Exactly the bars
        of the range enter the computation (from, to and bars say which), so give more bars than the period: smoothed
        ones such as RSI settle after about ten times it. Without start, end and limit all bars are used. `close` is the
        last close.
        """
        instrument, bars = self._catalogue.find(symbol)
        used = select(bars, instrument, start=start, end=end).last(limit)
        computed = [library.compute(library.find(each.name), used, parameters=each.params) for each in indicators]
        return ComputationReply(
            symbol=instrument.symbol,
            name=instrument.name,
            currency=instrument.currency,
            from_date=used.dates[0],
            to_date=used.dates[-1],
            bars=len(used),
            close=used.close[-1],
            results=[_reply(each) for each in computed],
        )


def _described(indicator: Indicator) -> IndicatorReply:
    return IndicatorReply(
        name=indicator.name,
        title=indicator.title,
        category=indicator.category,
        description=indicator.what,
        params=[
            ParameterReply(
                name=parameter.name,
                default=parameter.default,
                minimum=parameter.low,
                maximum=library.LONGEST_PERIOD,
                description=parameter.what,
            )
            for parameter in indicator.parameters
        ],
        outputs=list(indicator.outputs),
    )


def _reply(computed: Computed) -> ComputedReply:
    tail = [
        _point(date_, {name: values[index] for name, values in computed.outputs.items()})
        for index, date_ in list(enumerate(computed.dates))[-TAIL:]
    ]
    return ComputedReply(
        name=computed.indicator.name,
        params=computed.parameters,
        latest=tail[-1],
        tail=tail,
        values=len(computed.dates),
    )


def _point(day: str, values: dict[str, float]) -> Point:
    """Values to ten significant digits: more are residue of the arithmetic."""
    return {"date": day, **{name: float(f"{value:.10g}") for name, value in values.items()}}
