"""Hold more in calm times and less in wild ones, and only while the trend is up.

The position is sized so that the money in it is expected to move by `target` a year (0.10 = 10 percent): half the
position when prices move twice as much. It is never more than all of the money. While the close is below its average of
`trend` bars, nothing is held.
"""

import math

BARS_PER_YEAR = 252


def signals(bars, target=0.10, window=20, trend=200):
    """`target` is a yearly volatility, `window` and `trend` are numbers of bars."""
    close = bars["close"]
    volatility = close.pct_change().rolling(window).std() * math.sqrt(BARS_PER_YEAR)
    size = (target / volatility).clip(0.0, 1.0)

    # Tenths: a position that follows every wiggle pays more fees than it is worth.
    size = (size * 10).round() / 10
    return size.where(close > close.rolling(trend).mean(), 0.0)
