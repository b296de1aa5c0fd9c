"""A desk for tests of paper deployments, and a second way to their figures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from mcp_server.deployments.desk import Desk, Request
from mcp_server.deployments.store import Deployment, Deployments
from mcp_server.market.bars import Bars
from mcp_server.market.catalogue import Catalogue
from mcp_server.market.sources.shipped import ShippedSource
from mcp_server.storage.database import Database
from mcp_server.strategies.store import Strategies
from mcp_server.tests.direct import DirectRunner
from mcp_server.tests.harness import USER
from mcp_server.trading import START_EQUITY

# Every few bars another weight, so that there is something to trade.
BUSY = """
def signals(bars, period=3):
    close = bars["close"]
    change = close.pct_change(period) * 30
    return change.clip(-1, 1).round(1).fillna(0.0)
"""


SHIPPED = ShippedSource()


def spx(first: int, past: int) -> Bars:
    """Some of the shipped bars."""
    found = SHIPPED.find("SPX", None)
    assert found is not None
    return found[1][first:past]


class Bench:
    """A desk on a folder, with the jobs run in this process."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder, user=USER)
        self.catalogue = Catalogue(self.database)
        self.strategies = Strategies(self.database)
        self.store = Deployments(self.database)
        self.runner = DirectRunner()
        self.desk = self.desk_with(self.runner)

    def desk_with(self, runner: Any) -> Desk:
        return Desk(self.store, strategies=self.strategies, catalogue=self.catalogue, sandbox=runner)

    def deploy(self, key: str = "k", *, bars: int = 60, **wish: Any) -> Deployment:
        """Deploy BUSY over the first bars of MY.SPX, which are imported."""
        self.strategies.save("busy", BUSY)
        self.catalogue.save("MY.SPX", spx(0, bars))
        return self.desk.deploy(request(**wish), key=key)

    def close(self) -> None:
        self.catalogue.close()
        self.database.close()


def request(**wish: Any) -> Request:
    usual: dict[str, Any] = {
        "strategy": "busy",
        "symbol": "MY.SPX",
        "interval": None,
        "params": {},
        "fee_bps": 5.0,
        "slippage_bps": 1.0,
        "keep_running": False,
    }
    return Request(**(usual | wish))


def recomputed(bars: Bars, *, begun_at: int, fee_bps: float = 5.0, slippage_bps: float = 1.0) -> list[float]:
    """The equity at each close from the bar `begun_at` on, told a second time in the plainest way."""
    closes = bars.close
    weights = [0.0] * len(bars)
    for t in range(3, len(bars)):
        change = (closes[t] / closes[t - 3] - 1) * 30
        weights[t] = round(max(-1.0, min(1.0, change)), 1)
    costs = (fee_bps + slippage_bps) / 10_000
    cash, units, held = START_EQUITY, 0.0, 0.0
    course = [START_EQUITY]
    for t in range(begun_at + 1, len(bars)):
        target = weights[t - 1]
        if target != held:
            price, value = bars.open[t], cash + units * bars.open[t]
            # left = value - costs * |target * left - units * price|, solved for either sign.
            bought = (value + costs * units * price) / (1 + costs * target)
            sold = (value - costs * units * price) / (1 - costs * target)
            left = bought if target * bought >= units * price else sold
            cash, units, held = left - target * left, target * left / price, target
        course.append(cash + units * closes[t])
    return course


def courses_agree(store: Deployments, deployment: Deployment, wanted: list[float]) -> None:
    steps = store.steps(deployment.id)
    assert len(steps) == len(wanted)
    assert all(math.isclose(mine, theirs, rel_tol=1e-9) for (_, mine), theirs in zip(steps, wanted, strict=True))
