"""Buy after a sharp fall and sell when the price has recovered.

The relative strength index (RSI) runs from 0 to 100 and is low after a run of losing days. The strategy buys when it
falls below `entry` and sells when it rises above `exit`. With `trend` above 0 it buys only while the close is above its
average of that many bars, so that it does not catch a falling knife in a long decline.
"""

import talib


def signals(bars, period=4, entry=25.0, exit=60.0, trend=200):
    """`period` and `trend` are numbers of bars, `entry` and `exit` are levels of the RSI."""
    close = bars["close"]
    rsi = talib.RSI(close, timeperiod=period)

    buy = rsi < entry
    if trend > 0:
        buy = buy & (close > close.rolling(trend).mean())
    sell = rsi > exit

    # 1 where it buys, 0 where it sells, and in between whatever came last.
    weights = close * float("nan")
    weights[buy] = 1.0
    weights[sell] = 0.0
    return weights.ffill().fillna(0.0)
