"""Buy a new high and sell a new low, as the Turtle traders did.

When the close is above the highest high of the last `entry` bars, a trend may have begun: go long, and stay so until
the close is below the lowest low of the last `exit` bars. The same upside down for falling prices, unless `short` is
False. It loses a little often and wins a lot seldom.
"""


def signals(bars, entry=55, exit=20, short=True):
    """`entry` and `exit` are numbers of bars."""
    close = bars["close"]
    # shift(1): the channel is that of the bars before this one.
    entry_high = bars["high"].rolling(entry).max().shift(1)
    entry_low = bars["low"].rolling(entry).min().shift(1)
    exit_high = bars["high"].rolling(exit).max().shift(1)
    exit_low = bars["low"].rolling(exit).min().shift(1)

    long_side = hold(begin=close > entry_high, end=close < exit_low)
    if not short:
        return long_side
    return long_side - hold(begin=close < entry_low, end=close > exit_high)


def hold(begin, end):
    """1 from a bar where `begin` is true up to one where `end` is, else 0."""
    state = begin.astype(float).where(begin | end)
    return state.ffill().fillna(0.0)
