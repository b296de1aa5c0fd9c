"""Follow the trend with two moving averages.

Buy when the fast average of the closes is above the slow one, because prices have been rising lately; be out of the
market otherwise. Set `short=True` to bet on falling prices instead of being out. Slow averages trade seldom and react
late, fast ones trade often and are fooled more easily.
"""


def signals(bars, fast=20, slow=100, short=False):
    """`fast` and `slow` are numbers of bars."""
    close = bars["close"]
    fast_average = close.rolling(fast).mean()
    slow_average = close.rolling(slow).mean()

    weights = (fast_average > slow_average).astype(float)
    if short:
        weights = weights.where(fast_average >= slow_average, -1.0)
    # No position until both averages are known.
    return weights.where(slow_average.notna(), 0.0)
