"""What a backtest and a paper account have in common: what they begin with, and what an order leaves of them."""

from __future__ import annotations

from collections.abc import Sequence

# In the instrument's currency. Units may be fractions, so the size changes no percentage.
START_EQUITY = 100_000.0

BASIS_POINT = 1e-4

# Basis points of each traded value, where nothing else is said: what a retail broker and a liquid instrument take together.
# Without costs whoever trades often is flattered.
FEE_BPS = 5.0
SLIPPAGE_BPS = 1.0

# Each round shrinks the error by the costs, at most 0.1, so that doubles stand still after 16.
MOST_ROUNDS = 20


def equity_after(equity: float, weights: Sequence[float], values: Sequence[float], *, costs: float) -> float:
    """What is left of `equity` once holdings worth `values` were brought to `weights` of what is left.

    `costs` is what is paid, as a share of the traded value.
    """
    left = equity
    for _ in range(MOST_ROUNDS):
        traded = sum(abs(weight * left - value) for weight, value in zip(weights, values, strict=True))
        before, left = left, equity - costs * traded
        if left == before:
            break
    return left
