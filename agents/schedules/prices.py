"""Prices of an instrument, as the user's workspace has them or asks an exchange for them."""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from accounts.licences import Licence
from agents.errors import ToolRefused
from agents.lazy import load
from agents.schedules.crossings import Bar

# The column of the last price holds eighteen digits before the point.
_TOO_HIGH = Decimal(10) ** 18
# A date, or a date and time, whatever the spelling: it is kept, compared and shown.
_DATE = re.compile(r"[ -~]{1,40}")
# A symbol with an exchange before it has live prices.
LIVE = ":"
LIVE_INTERVAL = "5m"
# get_bars gives so many at once.
MOST_BARS = 500
# A bare symbol that the workspace has no bars of may be a coin. Asked in this order.
_COIN = re.compile(r"[A-Z0-9]{2,10}")
_MARKETS = ("binance:{}/USDT", "coinbase:{}/USD", "kraken:{}/USD")


@dataclass(frozen=True, slots=True)
class Prices:
    """Bars of `source`, oldest first."""

    source: str
    bars: tuple[Bar, ...]


async def read_prices(licence: Licence, symbol: str, *, source: str, seen: str) -> Prices:
    """The bars after the one named `seen`, of `source`, or of what `symbol` means while that is not known.

    Without `seen` the newest alone. Starts the workspace if need be. Raises AgentFailed, and ToolRefused with the workspace's
    words when it has no prices.
    """
    reader = await load("agents.mcp.bars")
    wanted = [source] if source else [symbol, *_markets(symbol)]
    refused: ToolRefused | None = None
    for each in wanted:
        try:
            return Prices(each, _newer(await reader.read_bars(licence, _arguments(each, seen)), seen))
        except ToolRefused as error:
            refused = refused or error
    raise refused or ToolRefused("There are no prices.")


def _markets(symbol: str) -> list[str]:
    coin = symbol.upper()
    return [market.format(coin) for market in _MARKETS] if _COIN.fullmatch(coin) else []


def _arguments(source: str, seen: str) -> dict[str, Any]:
    arguments: dict[str, Any] = {"symbol": source, "limit": MOST_BARS if seen else 1}
    if LIVE in source:
        arguments["interval"] = LIVE_INTERVAL
    if seen:
        arguments["start"] = seen
    return arguments


def _newer(answer: dict[str, Any], seen: str) -> tuple[Bar, ...]:
    """The bars in an answer. Raises ToolRefused for what is none."""
    try:
        names = list(answer["columns"])
        rows = [dict(zip(names, row, strict=True)) if isinstance(row, list) else row for row in answer["rows"]]
        bars = [Bar(_date(row["date"]), *(_price(row[name]) for name in ("high", "low", "close"))) for row in rows]
    except (KeyError, TypeError, ValueError, InvalidOperation) as error:
        raise ToolRefused("The workspace's answer is not a list of bars.") from error
    return tuple(bar for bar in bars if bar.at > seen)


def _date(value: Any) -> str:
    date = str(value)
    if not _DATE.fullmatch(date):
        raise ValueError("no date")
    return date


def _price(value: Any) -> Decimal:
    price = Decimal(str(value))
    if not price.is_finite() or abs(price) >= _TOO_HIGH:
        raise ValueError("no price")
    return price
