"""Whether the bars are still those that a deployment was stepped on."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

from mcp_server.deployments.store import Deployment
from mcp_server.errors import HistoryChanged
from mcp_server.market.bars import Bars
from mcp_server.market.times import BY_NAME, DAY, show_date, show_moment

# An exchange mends its newest bar by less; a dividend or a split moves all earlier prices by more.
SAME_PRICE = 1e-3

WAY_OUT = (
    "It is not stepped until they fit again: import the earlier bars, or stop it and deploy again over the new ones."
)


def check_history(deployment: Deployment, stepped: Sequence[int], bars: Mapping[str, Bars]) -> None:
    """Raises HistoryChanged when the units, bought at the old prices, would be valued at prices of another history.

    `stepped` are the times up to its last bar. Without any the series begins later, and nothing can be compared.
    """
    if deployment.last_bar > time.time_ns():
        raise HistoryChanged(f"It stands on the bar of {_shown(deployment)}, which is in the future. {WAY_OUT}")
    if not stepped:
        return
    if stepped[-1] != deployment.last_bar:
        raise HistoryChanged(f"The bars no longer hold the one of {_shown(deployment)}, its last. {WAY_OUT}")
    for symbol, before in deployment.account.closes.items():
        now = bars[symbol].close[len(stepped) - 1]
        if not math.isclose(before, now, rel_tol=SAME_PRICE):
            raise HistoryChanged(
                f"The close of {symbol} at {_shown(deployment)}, its last bar, was {before:.10g} and is {now:.10g} now: the bars "
                f"were adjusted or replaced, and its units were bought at the old prices. {WAY_OUT}"
            )


def _shown(deployment: Deployment) -> str:
    daily = BY_NAME[deployment.terms.interval].length >= DAY
    return show_date(deployment.last_bar) if daily else show_moment(deployment.last_bar)
