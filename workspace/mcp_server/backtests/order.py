"""What a backtest is asked to do, and the digest that names it: the same order has the same result."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from mcp_server.backtests.split import Part, Split
from mcp_server.market.bars import Bars
from mcp_server.market.times import DAY, show_date, show_moment
from mcp_server.strategies.contract import Plain
from mcp_server.strategies.versions import StrategyVersion

# Raised whenever the same order gives other figures: what is stored of an earlier engine is then not taken for its own.
RULES = 2

# What computes the figures; a strategy may compute with the last two.
LIBRARIES = ("bt", "numpy", "pandas", "ta-lib")


@dataclass(frozen=True, slots=True)
class Terms:
    """What trading costs, in basis points of the traded value, and how the range is cut."""

    fee_bps: float
    slippage_bps: float
    split: Split


@dataclass(frozen=True, slots=True)
class Order:
    """A strategy with all its parameters over bars of one or several symbols, all with the same times."""

    strategy: StrategyVersion
    params: Mapping[str, Plain]
    bars: Mapping[str, Bars]
    terms: Terms

    @property
    def symbols(self) -> list[str]:
        return list(self.bars)

    @property
    def times(self) -> array[int]:
        return next(iter(self.bars.values())).times

    @property
    def parts(self) -> list[Part]:
        return self.terms.split.parts(len(self.times))

    def show(self, moment: int | None) -> str | None:
        """A moment as the bars' dates are written."""
        if moment is None:
            return None
        daily = all(bars.interval.length >= DAY for bars in self.bars.values())
        return show_date(moment) if daily else show_moment(moment)

    def arrays(self) -> dict[str, Any]:
        """The bars for a job, `SPX/open` and so on."""
        return {
            f"{symbol}/{name}": column for symbol, bars in self.bars.items() for name, column in bars.arrays().items()
        }

    def digest(self, **more: Any) -> str:
        """SHA-256 in hex over everything that the result depends on."""
        content = {
            "engine": {"rules": RULES, **{name: version(name) for name in LIBRARIES}},
            "strategy": self.strategy.digest,
            "params": dict(self.params),
            "bars": {symbol: bars.digest() for symbol, bars in self.bars.items()},
            "fee_bps": self.terms.fee_bps,
            "slippage_bps": self.terms.slippage_bps,
            "parts": [[part.name, part.first, part.past] for part in self.parts],
            **more,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
