"""What the server asks of the exchange process, one JSON text a line each way."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

# Well-known exchanges whose bars need no key. A user names one of these, never a host.
EXCHANGES = (
    "binance",
    "binanceus",
    "bitfinex",
    "bitget",
    "bitstamp",
    "bitvavo",
    "bybit",
    "coinbase",
    "cryptocom",
    "gate",
    "gemini",
    "htx",
    "kraken",
    "kucoin",
    "mexc",
    "okx",
)


@dataclass(frozen=True, slots=True)
class Request:
    """Bars of `symbol` at an allow-listed `exchange` from `since_ms` on, at most `most`.

    `intervals` are acceptable lengths of a bar, the wanted one first, then finer ones.
    """

    exchange: str
    symbol: str
    intervals: tuple[str, ...]
    since_ms: dict[str, int]
    most: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Fetched:
    """`rows` of [milliseconds, open, high, low, close, volume] in `interval`, oldest first; prices in `currency`."""

    interval: str
    currency: str | None
    rows: list[list[float]]
