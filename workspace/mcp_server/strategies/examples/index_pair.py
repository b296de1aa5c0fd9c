"""Trade the gap between two indices that usually move together: long one, short the other.

The ratio of the two prices is compared with its own average. When it is unusually high, the first is dear against the
second: sell the first, buy the second, with half of the money each. The other way round when it is unusually low. Both
are closed when the ratio is back near its average. What the whole market does matters little.
"""

# With SYMBOLS, `bars` is a dict of frames by symbol, all over the same days.
SYMBOLS = ["SPX", "IXIC"]


def signals(bars, window=60, entry=2.0, exit=0.5):
    """`window` is a number of bars, `entry` and `exit` count standard deviations of the ratio."""
    first, second = SYMBOLS
    ratio = bars[first]["close"] / bars[second]["close"]
    score = (ratio - ratio.rolling(window).mean()) / ratio.rolling(window).std()

    # 1 = hold the first against the second, -1 = the other way round, in between whatever came last.
    side = ratio * float("nan")
    side[score < -entry] = 1.0
    side[score > entry] = -1.0
    side[score.abs() < exit] = 0.0
    side = side.ffill().fillna(0.0)
    return {first: 0.5 * side, second: -0.5 * side}
