"""Tools over price bars: what there is, read a range, import CSV."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mcp_server.market.bars import COLUMNS, Bar, Bars
from mcp_server.market.catalogue import Catalogue
from mcp_server.market.csv_format import Parsed, parse_bars
from mcp_server.market.instrument import Instrument
from mcp_server.market.parquet_format import read_parquet
from mcp_server.market.ranges import select
from mcp_server.market.times import first_moment
from mcp_server.sandbox import Sandbox
from mcp_server.tools.offer import READS, READS_OUTSIDE, REPLACES, Offer

# 500 bars are 32 KB of JSON, half of what a client commonly passes on to a model.
MOST_BARS = 500
DEFAULT_BARS = 100

# The body of a request ends at 4 MiB, and JSON escapes every line break.
CSV_CHARACTERS = 3_000_000

Symbol = Annotated[
    str,
    Field(
        min_length=1, max_length=64, description="Symbol or name of the instrument, any case, e.g. 'SPX' or 'S&P 500'."
    ),
]


def _readable(text: str) -> str:
    first_moment(text)
    return text


Moment = Annotated[str, AfterValidator(_readable), Field(max_length=40)]
Start = Annotated[
    Moment | None,
    Field(
        description="Begin of the range, included: a date, e.g. '2018-01-01', or a UTC moment, '2024-01-02T09:30:00Z'."
    ),
]
End = Annotated[
    Moment | None,
    Field(
        description="End of the range, included (a date with its whole day), e.g. '2018-12-31' or '2024-01-02T16:00Z'."
    ),
]
NewSymbol = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,31}$",
        description="Symbol to keep the bars under, at most 32 of A-Z 0-9 . _ / -, e.g. 'BTC/USDT'.",
    ),
]
IntervalName = Literal["1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w"]
Interval = Annotated[
    IntervalName | None,
    Field(description="Length of a bar, e.g. '1d' or '1w'; left out = that of the data. Bars are joined, never split."),
]


class InstrumentReply(BaseModel):
    """An instrument and the dates it has bars for."""

    symbol: str
    name: str
    aliases: list[str]
    currency: str | None
    interval: str
    first: str
    last: str
    bars: int
    source: str
    note: str | None


class InstrumentsReply(BaseModel):
    """All instruments."""

    instruments: list[InstrumentReply]


class BarsReply(BaseModel):
    """Bars of a range; each row has the cells that `columns` names."""

    model_config = ConfigDict(populate_by_name=True)

    symbol: str
    name: str
    currency: str | None
    interval: str
    from_date: str = Field(alias="from")
    to_date: str = Field(alias="to")
    bars: int
    cut: str | None
    note: str | None
    columns: list[str]
    rows: list[Bar]


class ImportReply(BaseModel):
    """What was imported, and how it was read."""

    model_config = ConfigDict(populate_by_name=True)

    symbol: str
    from_date: str = Field(alias="from")
    to_date: str = Field(alias="to")
    bars: int
    notes: list[str]


class MarketTools:
    """Price bars for a model."""

    def __init__(self, catalogue: Catalogue, sandbox: Sandbox) -> None:
        self._catalogue = catalogue
        self._sandbox = sandbox

    def offers(self) -> list[Offer]:
        return [
            Offer(self.list_instruments, "List instruments", READS),
            Offer(self.get_bars, "Read price bars", READS_OUTSIDE),
            Offer(self.import_bars, "Import price bars", REPLACES),
            Offer(self.import_parquet, "Import price bars from Parquet", REPLACES),
        ]

    def list_instruments(self) -> InstrumentsReply:
        """List every instrument that has bars: symbol, name, currency, interval, first and last date, bars, source.

        Call it when a symbol is not found or to learn which dates can be asked for.
        """
        return InstrumentsReply(instruments=[describe(instrument) for instrument in self._catalogue.instruments()])

    def get_bars(
        self,
        symbol: Symbol,
        *,
        interval: Interval = None,
        start: Start = None,
        end: End = None,
        limit: Annotated[
            int, Field(ge=1, le=MOST_BARS, description=f"Give only the last N bars of the range, 1 to {MOST_BARS}.")
        ] = DEFAULT_BARS,
    ) -> BarsReply:
        """Read open, high, low, close and volume of an instrument, oldest first.

        Without start and end: the newest bars. Of a longer range only the last `limit` bars are given and `cut` says
        what was left out. Prices are in the instrument's currency, volume in units traded (0 = not reported). A bar is
        named by when it begins (UTC; weeks on Monday); the first and last of longer bars may be incomplete. For an
        indicator call compute_indicators, which reads the bars itself.
        """
        instrument, bars = self._catalogue.find(symbol, interval)
        found = select(instrument.symbol, bars, start=start, end=end)
        shown = found.last(limit)
        return BarsReply(
            symbol=instrument.symbol,
            name=instrument.name,
            currency=instrument.currency,
            interval=shown.interval.name,
            from_date=shown.date(0),
            to_date=shown.date(-1),
            bars=len(shown),
            cut=_cut(found, shown),
            note=instrument.note,
            columns=list(COLUMNS),
            rows=shown.rows(),
        )

    def import_bars(
        self,
        symbol: NewSymbol,
        csv: Annotated[
            str,
            Field(
                min_length=1,
                max_length=CSV_CHARACTERS,
                description="CSV text, e.g. 'date,open,high,low,close,volume\\n2024-01-02,10,11,9.5,10.5,1200'.",
            ),
        ],
    ) -> ImportReply:
        """Import bars from CSV text as the whole series of a symbol; an earlier import of the symbol is replaced.

        The heading names date, open, high, low, close and optionally volume. Dates are YYYY-MM-DD, or for bars within a
        day YYYY-MM-DDTHH:MM:SSZ, each once; prices are above 0 and low <= open, close <= high. On an error nothing
        changes and the line is named. Shipped symbols can't be replaced.
        """
        return self._keep(symbol, parse_bars(csv))

    def import_parquet(
        self,
        symbol: NewSymbol,
        parquet_base64: Annotated[
            str,
            Field(
                min_length=1,
                max_length=CSV_CHARACTERS,
                description="The bytes of a Parquet file as base64; they begin 'UEFSMQ', e.g. 'UEFSMRUE…'.",
            ),
        ],
    ) -> ImportReply:
        """Import bars from a Parquet file as the whole series of a symbol; an earlier import of the symbol is replaced.

        Columns date (or datetime, timestamp, time, a pandas index), open, high, low, close and optionally volume, by
        the same rules as import_bars. Timestamps without a zone are UTC. On an error nothing changes and the row is
        named.
        """
        return self._keep(symbol, read_parquet(self._sandbox, parquet_base64))

    def _keep(self, symbol: str, parsed: Parsed) -> ImportReply:
        instrument = self._catalogue.save(symbol.upper(), parsed.bars)
        return ImportReply(
            symbol=instrument.symbol,
            from_date=instrument.first,
            to_date=instrument.last,
            bars=instrument.bars,
            notes=list(parsed.notes),
        )


def describe(instrument: Instrument) -> InstrumentReply:
    """The instrument as clients see it."""
    return InstrumentReply.model_validate(instrument, from_attributes=True)


def _cut(found: Bars, shown: Bars) -> str | None:
    if len(found) == len(shown):
        return None
    return (
        f"The range has {len(found)} bars from {found.date(0)}; only its last {len(shown)} are given. "
        f"For older ones ask again with end before {shown.date(0)}."
    )
