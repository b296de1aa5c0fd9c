"""What a deployment is stepped on: bars of its symbols over the same times, and its strategy's weight for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mcp_server.deployments.ledger import Prices
from mcp_server.market.bars import Bars
from mcp_server.strategies.signals import Weights


@dataclass(frozen=True, slots=True)
class Feed:
    """Bars by symbol and weights by symbol, each as long as `times`, in ns since 1970 UTC."""

    times: Sequence[int]
    bars: Mapping[str, Bars]
    weights: Weights

    def prices(self, index: int) -> Prices:
        """The bar at `index` of each symbol."""
        return Prices(
            opens={symbol: bars.open[index] for symbol, bars in self.bars.items()},
            closes={symbol: bars.close[index] for symbol, bars in self.bars.items()},
        )

    def decided(self, index: int) -> dict[str, float]:
        """The weights that are decided on the close of the bar at `index`."""
        return {symbol: float(weights[index]) for symbol, weights in self.weights.items()}
