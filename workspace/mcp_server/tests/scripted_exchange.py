"""Binance's public endpoints for one market, on loopback: real ccxt code talks to it over real HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

LENGTH_MS = {"1m": 60_000, "1h": 3_600_000, "4h": 14_400_000, "1d": 86_400_000}


class ScriptedExchange:
    """Each bar's prices follow from its time. `status` other than 200 is answered to every question."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.status = 200
        self.url = ""
        self.wait = threading.Event()
        self.wait.set()
        # A moment at which the market opened; there are no bars before.
        self.opened_ms = 0

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        self.wait.wait(30)
        if self.status != 200:
            return self.status, {"code": -1003, "msg": "too many"} if self.status == 429 else {}
        if path.endswith("/exchangeInfo"):
            return 200, {"symbols": [market("BTC", "USDT"), market("ETH", "USDT")]}
        self.asked.append(query)
        return 200, self._bars(LENGTH_MS[query["interval"]], query)

    def _bars(self, length: int, query: dict[str, str]) -> list[list[Any]]:
        now, limit = int(time.time() * 1000), int(query.get("limit", 500))
        start = max(int(query.get("startTime", now - limit * length)), self.opened_ms)
        first = -(-start // length) * length
        return [kline(moment, length) for moment in range(first, now, length)][:limit]


def price(moment_ms: int) -> float:
    """The close of the bar that begins then."""
    return 100 + moment_ms // 60_000 % 1000


def kline(moment: int, length: int) -> list[Any]:
    close = price(moment)
    return [
        moment,
        str(close),
        str(close + 1),
        str(close - 1),
        str(close),
        "5.5",
        moment + length - 1,
        "0",
        1,
        "0",
        "0",
        "0",
    ]


def market(base: str, quote: str) -> dict[str, Any]:
    return {
        "symbol": base + quote,
        "status": "TRADING",
        "baseAsset": base,
        "quoteAsset": quote,
        "isSpotTradingAllowed": True,
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "stepSize": "0.001"},
        ],
        "permissions": ["SPOT"],
    }


@contextmanager
def scripted_exchange() -> Iterator[ScriptedExchange]:
    """An exchange that listens on a free port of loopback."""
    exchange = ScriptedExchange()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            status, body = exchange.answer(parts.path, query)
            payload = json.dumps(body).encode()
            # The process that asked may have been ended at its deadline.
            with suppress(ConnectionError):
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    exchange.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield exchange
    finally:
        exchange.wait.set()
        server.shutdown()
        server.server_close()
        thread.join()
