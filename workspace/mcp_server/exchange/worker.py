"""`python -m mcp_server.exchange.worker [--instead URL]`: answer the server's requests until its end or a minute of idleness.

ccxt is slow to import and its lists of markets are large, so neither is ever in the server's memory.
"""

from __future__ import annotations

import difflib
import json
import resource
import select
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import ccxt

from mcp_server.exchange.protocol import EXCHANGES

IDLE_S = 60
TIMEOUT_MS = 8_000

# The list of markets of the largest exchange takes about 150 MB on top of ccxt's 80.
MEMORY_BYTES = 400 * 1024 * 1024

# Pages of one request: an exchange gives 300 to 1,000 bars at a time.
MOST_PAGES = 12


class Worker:
    """One object for each exchange that was asked, with its list of markets."""

    def __init__(self, *, instead: str | None) -> None:
        self._instead = instead
        self._exchanges: dict[str, Any] = {}

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """`{"interval", "currency", "rows"}`, or `{"error", "text"}` with what went wrong."""
        try:
            return self._fetch(asked)
        except ccxt.BadSymbol as error:
            return {"error": "symbol", "text": self._likely(asked) or str(error)}
        except (ccxt.RateLimitExceeded, ccxt.DDoSProtection) as error:
            return {"error": "busy", "text": _short(error)}
        except ccxt.NetworkError as error:
            return {"error": "unreachable", "text": _short(error)}
        except ccxt.BaseError as error:
            return {"error": "refused", "text": _short(error)}
        except MemoryError:
            self._exchanges.clear()
            return {"error": "refused", "text": "its list of markets is too large for this workspace"}

    def _fetch(self, asked: dict[str, Any]) -> dict[str, Any]:
        exchange = self._exchange(asked["exchange"])
        exchange.load_markets()
        market = exchange.market(asked["symbol"])
        interval = next((each for each in asked["intervals"] if each in (exchange.timeframes or {})), None)
        if interval is None or not exchange.has.get("fetchOHLCV"):
            return {"error": "refused", "text": f"it gives no bars of {asked['intervals'][0]} or finer"}
        rows = _pages(exchange, market["symbol"], interval, since_ms=asked["since_ms"][interval], most=asked["most"])
        return {"interval": interval, "currency": market.get("quote"), "rows": rows}

    def _exchange(self, name: str) -> Any:
        if name not in EXCHANGES:
            raise ccxt.NotSupported(f"{name[:40]} is not one of {', '.join(EXCHANGES)}")
        if name not in self._exchanges:
            made = getattr(ccxt, name)({"timeout": TIMEOUT_MS, "enableRateLimit": True, "requests_trust_env": True})
            # Only what is traded against ready money: a list of all futures and options is ten times as long.
            made.options["fetchMarkets"] = _spot_only(made.options.get("fetchMarkets"))
            if self._instead:
                made.urls["api"] = _moved(made.urls["api"], self._instead)
            self._exchanges[name] = made
        return self._exchanges[name]

    def _likely(self, asked: dict[str, Any]) -> str:
        known = list(self._exchanges[asked["exchange"]].markets or {})
        near = difflib.get_close_matches(asked["symbol"].upper(), known, n=4, cutoff=0.5)
        return f"Did you mean {', '.join(near)}?" if near else ""


def _pages(exchange: Any, symbol: str, interval: str, *, since_ms: int, most: int) -> list[list[float]]:
    """Bars from a moment on, oldest first, page by page as the exchange gives them."""
    rows: list[list[float]] = []
    for _ in range(MOST_PAGES):
        page = [row for row in exchange.fetch_ohlcv(symbol, interval, since_ms, None) if row[0] >= since_ms]
        # Some exchanges answer with nothing when the moment lies before what they keep.
        if not page and not rows:
            return list(exchange.fetch_ohlcv(symbol, interval, None, None))[-most:]
        if not page:
            break
        rows += page
        since_ms = int(page[-1][0]) + exchange.parse_timeframe(interval) * 1000
        if len(rows) >= most or since_ms > time.time() * 1000:
            break
    return rows[-most:]


def _spot_only(setting: Any) -> Any:
    """ccxt's exchanges that load several kinds of markets name them here, as a list or under `types`."""
    if isinstance(setting, dict) and "types" in setting:
        return {**setting, "types": {"spot": True} if isinstance(setting["types"], dict) else ["spot"]}
    return ["spot"] if isinstance(setting, list) else setting


def _moved(urls: Any, instead: str) -> Any:
    """The same addresses at another server, for tests; ccxt nests them by kind of API."""
    if isinstance(urls, dict):
        return {name: _moved(each, instead) for name, each in urls.items()}
    if isinstance(urls, list):
        return [_moved(each, instead) for each in urls]
    return instead + urlsplit(urls).path


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def main() -> None:
    """Exit when standard input ends or nothing was asked for a minute."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    instead = sys.argv[sys.argv.index("--instead") + 1] if "--instead" in sys.argv else None
    worker = Worker(instead=instead)
    while select.select([sys.stdin], [], [], IDLE_S)[0]:
        line = sys.stdin.readline()
        if not line:
            return
        sys.stdout.write(json.dumps(worker.answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
