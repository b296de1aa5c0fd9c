"""Tools over price bars: what there is, read a range, import CSV."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from mcp_server.errors import NoBars
from mcp_server.market.bars import COLUMNS, Bar, Bars
from mcp_server.market.csv_format import parse_bars
from mcp_server.market.sources import Catalogue, Instrument
from mcp_server.tools.offer import READS, REPLACES, Offer

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
Start = Annotated[date | None, Field(description="First date of the range, included, YYYY-MM-DD, e.g. '2018-01-01'.")]
End = Annotated[date | None, Field(description="Last date of the range, included, YYYY-MM-DD, e.g. '2018-12-31'.")]


class InstrumentReply(BaseModel):
    """An instrument and the dates it has bars for."""

    symbol: str
    name: str
    aliases: list[str]
    currency: str | None
    first: str
    last: str
    bars: int
    source: str


class InstrumentsReply(BaseModel):
    """All instruments."""

    instruments: list[InstrumentReply]


class BarsReply(BaseModel):
    """Bars of a range; each row has the cells that `columns` names."""

    model_config = ConfigDict(populate_by_name=True)

    symbol: str
    name: str
    currency: str | None
    interval: Literal["1d"]
    from_date: str = Field(alias="from")
    to_date: str = Field(alias="to")
    bars: int
    cut: str | None
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

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def offers(self) -> list[Offer]:
        return [
            Offer(self.list_instruments, "List instruments", READS),
            Offer(self.get_bars, "Read price bars", READS),
            Offer(self.import_bars, "Import price bars", REPLACES),
        ]

    def list_instruments(self) -> InstrumentsReply:
        """List every instrument that has daily bars: symbol, name, currency, first and last date, bars, source.

        Call it when a symbol is not found or to learn which dates can be asked for.
        """
        return InstrumentsReply(instruments=[describe(instrument) for instrument in self._catalogue.instruments()])

    def get_bars(
        self,
        symbol: Symbol,
        *,
        interval: Annotated[Literal["1d"], Field(description="Length of a bar; '1d' = one trading day.")] = "1d",
        start: Start = None,
        end: End = None,
        limit: Annotated[
            int, Field(ge=1, le=MOST_BARS, description=f"Give only the last N bars of the range, 1 to {MOST_BARS}.")
        ] = DEFAULT_BARS,
    ) -> BarsReply:
        """Read daily open, high, low, close and volume of an instrument, oldest first.

        Without start and end: the newest bars. Of a longer range only the last `limit` bars are given and `cut` says
        what was left out. Prices are in the instrument's currency, volume in units traded (0 = not reported). For an
        indicator call compute_indicators, which reads the bars itself.
        """
        instrument, bars = self._catalogue.find(symbol)
        found = select(bars, instrument, start=start, end=end)
        shown = found.last(limit)
        return BarsReply(
            symbol=instrument.symbol,
            name=instrument.name,
            currency=instrument.currency,
            interval=interval,
            from_date=shown.dates[0],
            to_date=shown.dates[-1],
            bars=len(shown),
            cut=_cut(found, shown),
            columns=list(COLUMNS),
            rows=shown.rows(),
        )

    def import_bars(
        self,
        symbol: Annotated[
            str,
            Field(
                pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,31}$",
                description="Symbol to keep the bars under, at most 32 of A-Z 0-9 . _ / -, e.g. 'BTC/USDT'.",
            ),
        ],
        csv: Annotated[
            str,
            Field(
                min_length=1,
                max_length=CSV_CHARACTERS,
                description="CSV text, e.g. 'date,open,high,low,close,volume\\n2024-01-02,10,11,9.5,10.5,1200'.",
            ),
        ],
    ) -> ImportReply:
        """Import daily bars from CSV text as the whole series of a symbol; an earlier import of the symbol is replaced.

        The heading names date, open, high, low, close and optionally volume. Dates are YYYY-MM-DD, each once; prices
        are above 0 and low <= open, close <= high. On an error nothing changes and the line is named. Shipped symbols
        can't be replaced.
        """
        parsed = parse_bars(csv)
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


def select(bars: Bars, instrument: Instrument, *, start: date | None, end: date | None) -> Bars:
    """Bars of a range, at least one. Raises NoBars with the dates that there are."""
    found = bars.between(start.isoformat() if start else None, end.isoformat() if end else None)
    if not found:
        asked = f"from {start or 'the beginning'} to {end or 'the end'}"
        raise NoBars(
            f"{instrument.symbol} has no bars {asked}. "
            f"It has {instrument.bars} from {instrument.first} to {instrument.last}."
        )
    return found


def _cut(found: Bars, shown: Bars) -> str | None:
    if len(found) == len(shown):
        return None
    return (
        f"The range has {len(found)} bars from {found.dates[0]}; only its last {len(shown)} are given. "
        f"For older ones ask again with end before {shown.dates[0]}."
    )
