"""What is said of something that has bars."""

from __future__ import annotations

from dataclasses import dataclass

from mcp_server.market.bars import Bars


@dataclass(frozen=True, slots=True)
class Instrument:
    """Something with bars, `bars` of them from `first` to `last` (ISO dates or date-times), `interval` apart.

    `source` is who gave them. `note` says what a user must know before trusting the figures.
    """

    symbol: str
    name: str
    currency: str | None
    first: str
    last: str
    bars: int
    source: str
    aliases: tuple[str, ...] = ()
    interval: str = "1d"
    note: str | None = None

    def answers_to(self, wanted: str) -> bool:
        """Whether `wanted`, in any case, is the symbol, the name or another name."""
        return wanted.casefold() in {text.casefold() for text in (self.symbol, self.name, *self.aliases)}


def instrument_of(symbol: str, bars: Bars, *, source: str, currency: str | None = None) -> Instrument:
    """The instrument that `bars` are of, at least one; its name is its symbol."""
    return Instrument(
        symbol=symbol,
        name=symbol,
        currency=currency,
        first=bars.date(0),
        last=bars.date(-1),
        bars=len(bars),
        source=source,
        interval=bars.interval.name,
    )
